"""Every finding of the compiler: ``WF3xx`` graph, charts and triggers, ``WF4xx`` names and data, ``WF5xx`` valid but
not acting yet.

Ids are stable; never reuse one.
"""

from __future__ import annotations

from workflow_runtime.findings import Severity, rule

ERROR = Severity.ERROR
WARNING = Severity.WARNING

# Graph
UNKNOWN_NODE = rule("WF301", ERROR, "A node that does not exist is named")
SELF_EDGE = rule("WF302", ERROR, "A node waits for itself", "Remove the edge.")
CYCLE = rule("WF303", ERROR, "Nodes wait for each other in a circle", "Remove one of these edges.")
NO_NODES = rule("WF304", ERROR, "The workflow has no nodes", "Add at least one node below `nodes:`.")
TOO_MANY_NODES = rule("WF305", ERROR, "The workflow has too many nodes", "Split it into several workflows.")
TOO_MANY_EDGES = rule(
    "WF306",
    ERROR,
    "The workflow has too many edges",
    "Let groups of nodes meet in one node instead of joining each with each.",
)
JOIN_COUNT = rule("WF307", ERROR, "A join that can never be met")
JOIN_WITHOUT_EDGES = rule(
    "WF308",
    WARNING,
    "A join of a node that waits for nothing",
    "Such a node starts at once; remove `join` or add dependencies.",
)
UNREACHABLE = rule("WF309", WARNING, "A node that can never run")
NO_DEFAULT = rule("WF310", WARNING, "A switch without default", "Add `- default: <node>` to the branches.")
DUPLICATE_CASE = rule(
    "WF311", WARNING, "A case that an earlier one has taken", "The first match wins: remove one of the two."
)
OUTPUT_LIST = rule(
    "WF312",
    ERROR,
    "A list of output fields on a node that has no output fields",
    "Write a mapping of templates, or remove `outputs`.",
)
START_OR_END = rule(
    "WF313",
    WARNING,
    "A condition on an edge that means nothing",
    "`start` and `end` are not nodes; put the condition into the node's `when`.",
)

CALLED_AND_LINKED = rule(
    "WF314",
    ERROR,
    "A node that only runs when it is called has edges",
    "It runs when it is called, and nothing waits for it: remove the edge, or call another node.",
)
DUPLICATE_NAME = rule("WF315", ERROR, "A name that is used twice", "Rename one of them.")
PATH_CLASH = rule(
    "WF316",
    ERROR,
    "A node and a state of the same name",
    "Both are parts of paths: rename one of them.",
)

UNREAD_CONDITION = rule(
    "WF317",
    WARNING,
    "A switch with a `condition` that no branch reads",
    "Give a branch a `case`, or remove `condition`.",
)
CROSSES_LOOP = rule(
    "WF318",
    ERROR,
    "A link between a node in the body of a loop and one outside of it",
    "Let the loop itself wait, or be waited for; nodes of its body may read what ran before it.",
)
BAD_BODY = rule("WF319", ERROR, "A node that cannot be in the body of this loop")

# Charts
UNKNOWN_STATE = rule("WF320", ERROR, "A state that does not exist is named")
NEARLY_IMPLIED = rule(
    "WF321",
    ERROR,
    "A state whose name differs only by case from a final state that is implied",
    "Use one spelling.",
)
FINAL_STATE = rule("WF322", ERROR, "A final state with something that it cannot have")
HISTORY_STATE = rule("WF323", ERROR, "A history state with something that it cannot have, or without a place")
NOT_INSIDE = rule("WF324", ERROR, "A default entry that leads elsewhere", "Name states inside this one.")
CONFLICTING_TARGETS = rule(
    "WF325",
    ERROR,
    "Targets that cannot be active together",
    "Several targets must lie in different regions of a parallel state.",
)
CALL_IN_LOOP = rule(
    "WF326",
    ERROR,
    "An agent or tool that is called for each item of a list",
    "Put it into a `run` graph: an agent or tool node takes the whole list, or several nodes take a part each.",
)
TOO_MANY_STATES = rule("WF327", ERROR, "The workflow has too many states", "Split it into several workflows.")
TOO_MANY_TRANSITIONS = rule("WF333", ERROR, "The workflow has too many transitions", "Split it into several workflows.")
TOO_MANY_EXPRESSIONS = rule(
    "WF334", ERROR, "The workflow has too many expressions", "Give large values as files or inputs, or split it."
)
TOO_MANY_REFERENCES = rule(
    "WF335", ERROR, "The expressions name too much", "Put values together once, in a node, and read that."
)
TOO_MANY_PATTERNS = rule(
    "WF336", ERROR, "The workflow has too many patterns, or too large ones", "Compare texts where that is enough."
)
UNREACHABLE_STATE = rule("WF328", WARNING, "A state that is never entered")
NEVER_TAKEN = rule(
    "WF329", WARNING, "A transition that is never taken", "Give the earlier one a condition, or remove one of the two."
)
ENDLESS = rule("WF330", WARNING, "Transitions without event and condition that lead in a circle")
NO_END = rule("WF331", WARNING, "A chart that can never end", "Add a final state and a transition that leads to it.")

NOTHING_TO_OVERWRITE = rule(
    "WF332",
    WARNING,
    "A name in `merge_event_data` that the workflow does not own",
    "Correct it, or remove it: other names become variables anyhow.",
)

# Triggers
BAD_SCHEDULE = rule("WF340", ERROR, "A schedule that cannot be kept")
BAD_FILTERS = rule("WF341", ERROR, "Filters that are not an event pattern")
UNNAMED_SECRET = rule("WF342", ERROR, "A secret without a fixed name", "Write `${secrets.NAME}`.")
TRIGGER_INPUT = rule("WF343", WARNING, "A trigger whose input does not fit `input_schema`")

UNHEARD = rule(
    "WF344",
    WARNING,
    "A trigger sends an event that nothing listens to",
    "Correct the name, or add a transition or a wait.",
)

NO_SECRET = rule(
    "WF345",
    WARNING,
    "A webhook that requires signatures has no secret",
    "Add `secret: ${secrets.NAME}`, or say `auth_required: false`.",
)

WHOLE_PATTERN = rule(
    "WF346",
    WARNING,
    "Filters that look like a whole event pattern",
    "Write `topic` and `source` beside `filters`, and below `filters` only fields of the event's `detail`.",
)

NEVER_MATCHES = rule("WF347", WARNING, "A topic or filters that no event can match")

SAME_WEBHOOK = rule("WF348", ERROR, "Two webhooks that take the same requests", "Give one another endpoint or method.")

NO_TOOL_SCHEMA = rule(
    "WF349",
    ERROR,
    "A workflow that is exposed without saying what it takes",
    "Add an `input_schema` of type `object`: models fill it in.",
)

LONG_TOOL = rule(
    "WF339",
    ERROR,
    "A workflow that is exposed and says too much",
    "Shorten its `description`, or simplify its schemas.",
)

# Compensation
BAD_COMPENSATION = rule("WF350", ERROR, "A node that cannot undo others")
NOT_UNDONE = rule(
    "WF351",
    WARNING,
    "A node with effects that nothing undoes, while others are undone",
    "Add `compensate`, or declare the tool with `effects: none`.",
)
GONE = rule(
    "WF352",
    ERROR,
    "A compensation reads a node that may be gone",
    "Give it as an input to the node that is undone, and read `${inputs.<name>}`.",
)

# Names and data
SYNTAX = rule("WF401", ERROR, "Not an expression")
UNDECLARED = rule(
    "WF402", ERROR, "A name that nothing declares", "Add it to `input_schema` or `variables`, or correct it."
)
BARE_NAME = rule(
    "WF403",
    WARNING,
    "A bare name that nothing declares",
    "Put texts in quotes; write `${name}` for a key of the input.",
)
MINUS = rule(
    "WF404", WARNING, "A hyphen that may be meant as minus", "Names may contain hyphens: put spaces around a minus."
)
NOT_ENDED = rule(
    "WF405",
    WARNING,
    "A node is read that may not have ended",
    "Wait for it, or use `exists` or `default`.",
)
NOT_HERE = rule("WF406", ERROR, "A name that has no meaning here")
SECRETS = rule(
    "WF407",
    ERROR,
    "`secrets` outside the inputs of agents and tools",
    "Pass it in the `inputs` of the agent or tool node that needs it.",
)
DYNAMIC_NODES = rule("WF408", ERROR, "`nodes` without a fixed node id", 'Write `nodes.<id>` or `nodes["<id>"]`.')
UNKNOWN_NODE_READ = rule("WF409", ERROR, "`nodes` with an id that does not exist")
UNKNOWN_VARIABLE = rule("WF410", ERROR, "`variables` with a name that does not exist")
VARIABLE_ORDER = rule(
    "WF411",
    ERROR,
    "A variable reads one that is not set yet",
    "Variables are set in order: move it below the one it reads.",
)
READS_ITSELF = rule("WF412", ERROR, "A node reads its own output", "Its own output is `${output}`, in `outputs` only.")
LEADS_NOWHERE = rule("WF413", WARNING, "A path that leads nowhere", "A path that leads nowhere is null.")
NODE_IN_VARIABLE = rule(
    "WF414",
    ERROR,
    "A variable reads a node",
    "Variables are set before any node runs: read the node where it is needed.",
)
NO_PREVIOUS = rule("WF415", WARNING, "`previous` without a predecessor")
UNCLEAR_PREVIOUS = rule(
    "WF416", ERROR, "`previous` in the condition of an edge that comes from several nodes", "Name the node."
)
HIDES = rule(
    "WF449",
    WARNING,
    "A name that is read, and hides something else of that name",
    "Rename one of them.",
)
UNKNOWN_AGENT = rule(
    "WF417", WARNING, "An agent that is not registered", "Add it to definitions/agents, or correct the name."
)
UNKNOWN_TOOL = rule(
    "WF418", WARNING, "A tool that is not registered", "Add it to definitions/tools, or correct the name."
)

NODE_IN_KEY = rule(
    "WF419",
    ERROR,
    "The `with` of a trigger reads a node",
    "It reads the input and the variables; a `wait` node has a `with` of its own, which reads nodes.",
)
UNKNOWN_KEY = rule(
    "WF420",
    WARNING,
    "The `with` of a trigger reads a name that nothing declares",
    "Then it has no key, and gets no event.",
)

NODE_AT_START = rule(
    "WF441",
    ERROR,
    "A tenant, or the key or weight of a limiter, reads a node",
    "They are fixed when an execution starts, and read the input and the variables.",
)
UNKNOWN_LIMITER = rule(
    "WF442",
    WARNING,
    "A limiter that is not declared",
    "Declare it under `limits` or in definitions/limits.yaml: until then it holds nothing back.",
)
LIMITER_TWICE = rule("WF443", ERROR, "A limiter that definitions/limits.yaml declares too", "Give it another name.")
UNUSED_LIMITER = rule(
    "WF448",
    WARNING,
    "A limiter of the workflow that nothing names",
    "Name it in `limiter` of nodes or of the workflow: as it is, it holds nothing back.",
    about_key=True,
)
BUDGET_TOO_SMALL = rule(
    "WF445",
    WARNING,
    "A budget that a single request of an agent may exceed",
    "Allow more, or fewer `max_tokens` in the agent's settings: as it is, the model is never asked.",
)
UNKNOWN_PRICE = rule(
    "WF447",
    WARNING,
    "A budget in dollars for an agent's model of which no price is known",
    "Count its tokens only (`unknown_price: tokens`): as it is, the model is never asked.",
)
ONE_MODEL = rule(
    "WF446",
    WARNING,
    "A budget that asks the next model of an agent that has one",
    "Give the agent several `models`: with one, `degrade` is `fail`.",
)
IMPOSSIBLE_WAIT = rule(
    "WF444", WARNING, "A `max_wait` that is shorter than the time between two starts", "Wait longer, or allow more."
)

NOT_EXPRESS = rule(
    "WF460",
    ERROR,
    "Something for which an express workflow has no time",
    "Leave `durability: express` out: then executions may wait, and survive.",
)

NO_EXPRESS_HERE = rule(
    "WF461",
    ERROR,
    "An express workflow where there is no pool `express`",
    "Name the pool in the props of the construct, or leave `durability: express` out.",
)

NEVER_TRUE = rule("WF421", WARNING, "A comparison whose result is always the same", "Correct the value, or the schema.")
TOOL_INPUTS = rule("WF422", WARNING, "Inputs that do not fit what a tool takes")
TOO_MANY_PASSES = rule("WF428", WARNING, "A loop with more passes than it may have", "Raise `max_iterations`.")
READS_PASS = rule("WF429", WARNING, "A node in the body of a loop is read from outside")
UNKNOWN_WORKFLOW = rule(
    "WF425",
    WARNING,
    "A workflow that is not known here",
    "Publish it first, or correct the name.",
)
CHILD_INPUT = rule("WF426", WARNING, "Inputs that do not fit the `input_schema` of a sub-workflow")
ENDLESS_RECURSION = rule(
    "WF427",
    WARNING,
    "A workflow that always starts itself",
    "Put the sub-workflow behind a condition: an execution has at most 50 generations of children.",
)
AGENT_SCHEMA = rule(
    "WF424",
    ERROR,
    "An output schema that a model cannot be given",
    "Use `$ref` with #/$defs/…, and fewer or flatter parts.",
)
UNKNOWN_EVENT = rule(
    "WF423", WARNING, "The schema of an event that nothing listens to", "Correct the name.", about_key=True
)

UNKNOWN_POOL = rule(
    "WF430", ERROR, "A worker pool that the deployment does not have", "Add the pool to the deployment, or correct it."
)

# Without effect
ONLY_CALLED = rule("WF503", WARNING, "A node that nothing can call yet")
NO_EFFECT = rule("WF504", WARNING, "A field without effect on this type of node", "Remove it.", about_key=True)
NEVER_APPLIES = rule(
    "WF505",
    WARNING,
    "A retry policy, error rule or handler that never applies",
    "Remove it, or move it before the more general ones.",
)
