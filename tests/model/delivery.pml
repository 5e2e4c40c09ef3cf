/* Delivery of one execution: two nodes side by side, a limiter with one place, two dispatchers, two workers, crashes,
 * duplicates, leases that run out, and people who suspend, resume and cancel.
 *
 * What is checked, whatever happens in whichever order:
 *   - at rest the execution has ended, all is published, and nothing waits anywhere (`rest`)
 *   - a run's code begins at most once, gets one result, and a node's result is applied once
 *   - an order is only met once its commit stands
 *   - workers whose lease holds never use more places than there are
 *   - what has ended stays so, and nothing begins once a cancellation was published
 *
 * Each BUG_… takes one precaution away; `test_model` has all of them found. A table's write is one step, with its
 * condition; a queue holds messages by what they say, so that sending one again that is still there changes nothing.
 */

#define NODES 2
#define RUNS 4                 /* node * 2 + serial */
#ifndef AT_WORK
#define AT_WORK 2              /* nodes that have something to do */
#endif
#ifndef DISPATCHERS
#define DISPATCHERS 2
#endif
#define PLACES 1
#ifndef FAULTS_MAX
#define FAULTS_MAX 1           /* crashes, leases that run out while their worker lives, messages delivered twice */
#endif

#define NOBODY 0               /* what somebody asks for meanwhile */
#define CANCELS 1
#define SUSPENDS 2
#ifndef PERSON
#define PERSON NOBODY
#endif

#define RESULT 0               /* mail: the result of run 0, 1, … */
#define START RUNS
#define CANCEL (RUNS + 1)
#define SUSPEND (RUNS + 2)
#define RESUME (RUNS + 3)
#define MAILS (RUNS + 4)

#define NONE 0
#define VISIBLE 1
#define TAKEN 2

mtype = { pending, running, suspended, completed, failed, cancelled };          /* an execution */
mtype = { waiting, ordered, held, done, broken, withdrawn };                    /* a node */
mtype = { absent, claimed, ok, lost, closed };                                  /* a run's record */

/* the execution's items: its state, of version `version`; what the commit ordered; the mark that it is published */
byte version;
mtype status = pending;
mtype node[NODES] = waiting;
bit serial[NODES];
bit last_order[RUNS];
bit last_stop[RUNS];
bit known[MAILS];              /* requests that were taken, by their ids */
bool published = true;
mtype header = pending;
byte header_version;

/* runs: their records and who claimed them; leases that hold */
mtype record[RUNS] = absent;
byte owner[RUNS];
bit lease[RUNS];
bit orphan[RUNS];              /* its worker has died */

/* the limiter: places taken, and who waits in its line */
bit place[RUNS];
bit line[RUNS];

/* queues */
byte mail[MAILS];
byte order[RUNS];

/* Two dispatchers, or workers, that are idle are alike: the first of them is the next to begin something. */
bit dispatcher_idle = 1, worker_idle = 1;
#define may_begin(idle) (number == 0 || !idle)
#define begins(idle) idle = (number -> idle : 0)
#define at_rest(idle) idle = (number -> idle : 1)

/* for the properties */
byte begun[RUNS];
byte results[RUNS];
byte applied[NODES];
bit at_work[RUNS];
bool cancellation_published;
byte faults;

#define terminal(s) (s == completed || s == failed || s == cancelled)
#ifdef BUG_TERMINAL_NOT_FINAL
#define awaited(n) (node[n] == ordered || node[n] == withdrawn)
#else
#define awaited(n) (node[n] == ordered)
#endif
#ifdef BUG_REPEATED_REQUEST_TAKEN
#define fresh(e) true
#else
#define fresh(e) (!known[e])
#endif
#define all_done (node[0] == done && node[1] == done)
#define unclaimed(r) owner[r] = 0; lease[r] = 0; orphan[r] = 0
#define free_of_lease(r) (record[r] == claimed && !lease[r])
#define taken_place(r) (place[r] && !free_of_lease(r))
#define places_taken (taken_place(0) + taken_place(1) + taken_place(2) + taken_place(3))
#define order_stands(r) (version > 0 && serial[r / 2] >= r % 2)
#define working(r) (at_work[r] && record[r] == claimed && lease[r])
#define used_places (working(0) + working(1) + working(2) + working(3))

/* -- the engine: one event, one decision. Whether anything changed. */

inline clear() {
    n = 0;
    do
    :: n < RUNS -> orders[n] = 0; stops[n] = 0; n++
    :: else -> break
    od;
    n = 0
}

inline order_run(n) {
    node[n] = ordered;
    orders[n * 2 + serial[n]] = 1
}

inline decide(event) {
    d_step {
        changed = false;
        has_ended = terminal(status);
        clear();
        if
        :: status == pending ->
            changed = true;
            status = running;
            order_run(0);
#if AT_WORK == 2
            order_run(1)
#else
            node[1] = done
#endif
        :: else
        fi;
        if
#ifndef BUG_TERMINAL_NOT_FINAL
        :: terminal(status) -> skip
#endif
#ifndef BUG_REPEATED_REQUEST_TAKEN
        :: event >= CANCEL && known[event] -> skip
#endif
        :: event == CANCEL && !terminal(status) && fresh(event) ->
            changed = true;
            known[event] = 1;
            status = cancelled;
            n = 0;
            do
            :: n < NODES ->
                if
                :: node[n] == ordered -> node[n] = withdrawn; orders[n * 2 + serial[n]] = 0;
                   stops[n * 2 + serial[n]] = 1
                :: node[n] == held -> node[n] = withdrawn
                :: else
                fi;
                n++
            :: else -> break
            od
        :: event == SUSPEND && status == running && fresh(event) ->
            changed = true;
            known[event] = 1;
            status = suspended
        :: event == RESUME && status == suspended && fresh(event) ->
            changed = true;
            known[event] = 1;
            status = running;
#ifndef BUG_RESUME_FORGETS
            n = 0;
            do
            :: n < NODES ->
                if
                :: node[n] == held -> order_run(n)
                :: else
                fi;
                n++
            :: else -> break
            od
#endif
        :: event < RUNS ->
            n = event / 2;
            if
            :: awaited(n) && serial[n] == event % 2 ->
                changed = true;
                if
                :: record[event] == ok -> node[n] = done; applied[n]++; assert(applied[n] == 1)
                :: record[event] != ok && serial[n] == 0 ->
                    serial[n] = 1;
                    if
                    :: status == suspended -> node[n] = held
                    :: else -> order_run(n)
                    fi
                :: else -> node[n] = broken
                fi
            :: else
            fi
        :: else
        fi;
        if
        :: changed && status == running && all_done -> status = completed
        :: changed && status == running && (node[0] == broken || node[1] == broken) -> status = failed
        :: else
        fi;
        assert(!(changed && has_ended));
        has_ended = false;
        n = 0
    }
}

/* -- dispatchers: load, publish what is unpublished, decide and commit, publish, acknowledge */

/* Whoever dies leaves nothing behind: what he knew would only tell states apart that go on alike. */
#define MAY_DIE :: atomic { faults < FAULTS_MAX -> faults++; mail[event] = VISIBLE; forget(); goto ready }
#define order_left (orders[0] || orders[1] || orders[2] || orders[3])
#define stop_left (stops[0] || stops[1] || stops[2] || stops[3])
#define mail_left (mail[0] == VISIBLE || mail[1] == VISIBLE || mail[2] == VISIBLE || mail[3] == VISIBLE || \
    mail[START] == VISIBLE || mail[CANCEL] == VISIBLE || mail[SUSPEND] == VISIBLE || mail[RESUME] == VISIBLE)
#define nobody_has_mail (mail[0] != TAKEN && mail[1] != TAKEN && mail[2] != TAKEN && mail[3] != TAKEN && \
    mail[START] != TAKEN && mail[CANCEL] != TAKEN && mail[SUSPEND] != TAKEN && mail[RESUME] != TAKEN)

inline forget() {
    clear();
    event = 0; loaded = 0; changed = false; new_status = pending;
    at_rest(dispatcher_idle)
}

inline publish() {
    do
    :: atomic {
           order_left ->
           n = 0;
           do
           :: orders[n] -> break
           :: else -> n++
           od;
           orders[n] = 0;
           if
           :: order[n] == NONE -> order[n] = VISIBLE
           :: else
           fi;
           n = 0
       }
    :: atomic {
           !order_left && stop_left ->
           n = 0;
           do
           :: stops[n] -> break
           :: else -> n++
           od;
           stops[n] = 0;
#ifndef BUG_STOP_MISSES_UNCLAIMED
           if
           :: record[n] == absent -> record[n] = closed
           :: else
           fi;
#endif
           n = 0
       }
    :: !order_left && !stop_left -> break
    MAY_DIE
    od;
    if
#ifdef BUG_HEADER_WITHOUT_CONDITION
    :: atomic { true -> header = new_status; header_version = loaded }
#else
    :: atomic {
           true ->
           if
           :: header_version < loaded -> header = new_status; header_version = loaded
           :: else
           fi
       }
#endif
    MAY_DIE
    fi
}

/* Read the state, and what its commit ordered. */
inline load() {
    d_step {
        n = 0;
        do
        :: n < RUNS -> orders[n] = last_order[n]; stops[n] = last_stop[n]; n++
        :: else -> break
        od;
        n = 0;
#ifdef BUG_COMMIT_WITHOUT_CONDITION
        old_node[0] = node[0]; old_node[1] = node[1];
        old_serial[0] = serial[0]; old_serial[1] = serial[1];
#endif
        new_status = status;
        loaded = version
    }
}

/* Nobody reads any more what a commit ordered that is published. */
inline forget_orders() {
    n = 0;
    do
    :: n < RUNS -> last_order[n] = 0; last_stop[n] = 0; n++
    :: else -> break
    od;
    n = 0
}

/* Write the state, with what it orders. */
inline write() {
    d_step {
        n = 0;
        do
        :: n < RUNS -> last_order[n] = orders[n]; last_stop[n] = stops[n]; n++
        :: else -> break
        od;
        n = 0;
        version++;
        published = false;
        new_status = status;
        loaded = version
    }
}

inline mark() {
    atomic {
        if
        :: version == loaded -> published = true; forget_orders();
           if
           :: status == cancelled -> cancellation_published = true
           :: else
           fi
        :: else
        fi
    }
}

/* It takes the next mail. */
proctype Dispatcher(bit number) {
    byte event, loaded, n;
    bool changed, has_ended;
    bit orders[RUNS], stops[RUNS];
    mtype new_status;
#ifdef BUG_COMMIT_WITHOUT_CONDITION
    mtype old_node[NODES];
    bit old_serial[NODES];
#endif
ready:
end:
    atomic {
        if                                     /* a FIFO group has one reader, until its visibility ends too early */
        :: may_begin(dispatcher_idle) && mail_left && nobody_has_mail
        :: may_begin(dispatcher_idle) && mail_left && !nobody_has_mail && faults < FAULTS_MAX -> faults++
        fi;
        if
        :: mail[0] == VISIBLE -> event = 0
        :: mail[1] == VISIBLE -> event = 1
        :: mail[2] == VISIBLE -> event = 2
        :: mail[3] == VISIBLE -> event = 3
        :: mail[START] == VISIBLE -> event = START
        :: mail[CANCEL] == VISIBLE -> event = CANCEL
        :: mail[SUSPEND] == VISIBLE -> event = SUSPEND
        :: mail[RESUME] == VISIBLE -> event = RESUME
        fi;
        mail[event] = TAKEN;
        begins(dispatcher_idle)
    }
again:
    load();
    if
#ifdef BUG_REDELIVERY_DROPPED
    :: true
#else
    :: published
    :: !published -> publish(); mark()
#endif
    fi;
    if
#ifdef BUG_SENDS_FIRST
    :: version == 0 -> order[0] = VISIBLE
    :: else
    MAY_DIE
    fi;
    if
#endif
    :: atomic {
#ifdef BUG_COMMIT_WITHOUT_CONDITION
           true ->                             /* over what somebody else has written since */
           status = new_status;
           node[0] = old_node[0]; node[1] = old_node[1];
           serial[0] = old_serial[0]; serial[1] = old_serial[1];
           decide(event);
#else
           version == loaded -> decide(event);
#endif
           if
           :: changed ->
               write();
#ifdef BUG_MARKED_BEFORE_PUBLISHED
               published = true
#endif
           :: else
           fi
       }
    :: version != loaded -> goto again         /* the condition failed: somebody else was faster */
    MAY_DIE
    fi;
    if
    :: changed -> publish(); mark()
    :: else
    fi;
    if
    :: atomic {
           true ->
           if
           :: mail[event] == TAKEN -> mail[event] = NONE
           :: else                             /* it has come again meanwhile */
           fi;
           forget()
       }
    MAY_DIE
    fi;
    goto ready
}

#define line_left (line[0] || line[1] || line[2] || line[3])
#ifdef BUG_ACKNOWLEDGED_FIRST
#define comes_again (order[r] == TAKEN)
#else
#define comes_again true
#endif
#define WORKER_MAY_DIE :: atomic { faults < FAULTS_MAX -> \
        faults++; \
        at_work[r] = 0; \
        if :: comes_again -> order[r] = VISIBLE :: else fi; \
        if :: record[r] == claimed && owner[r] == _pid -> orphan[r] = 1; owner[r] = 0 :: else fi; \
        r = 0; other = 0; at_rest(worker_idle); goto ready }

/* Somebody who waits is sent on, and leaves the line only then. */
inline wake() {
#ifdef BUG_WAITER_DELETED_FIRST
    line[other] = 0;
    if
    :: atomic { order[other] == NONE -> order[other] = VISIBLE }
    :: order[other] != NONE
    WORKER_MAY_DIE
    fi
#else
    if
    :: atomic { order[other] == NONE -> order[other] = VISIBLE }
    :: order[other] != NONE
    WORKER_MAY_DIE
    fi;
    line[other] = 0
#endif
}

/* -- workers: a place, a claim, the code, its record, the report, the place given back, the acknowledgement */

proctype Worker(bit number) {
    byte r, other;
ready:
end:
    atomic {
        if                                                 /* an order is hidden for as long as its run has a lease */
        :: may_begin(worker_idle) && order[0] == VISIBLE && !(record[0] == claimed && lease[0]) -> r = 0
        :: may_begin(worker_idle) && order[1] == VISIBLE && !(record[1] == claimed && lease[1]) -> r = 1
        :: may_begin(worker_idle) && order[2] == VISIBLE && !(record[2] == claimed && lease[2]) -> r = 2
        :: may_begin(worker_idle) && order[3] == VISIBLE && !(record[3] == claimed && lease[3]) -> r = 3
        fi;
        order[r] = TAKEN;
        begins(worker_idle)
    }
    if
    :: atomic { record[r] == ok || record[r] == lost -> goto report }                    /* it has come again */
    :: atomic { record[r] == closed -> goto give_back }
    :: record[r] == claimed
    :: record[r] == absent && place[r]                     /* it took one, and died before it claimed */
#ifdef BUG_NO_SIZE
    :: atomic { record[r] == absent && !place[r] -> place[r] = 1 }
#else
    :: atomic { record[r] == absent && !place[r] && places_taken < PLACES -> place[r] = 1 }
#endif
#ifdef BUG_LINE_WITHOUT_NONCE
    :: record[r] == absent && !place[r] && places_taken >= PLACES ->
       atomic { line[r] = 1; order[r] = NONE; r = 0; at_rest(worker_idle); goto ready }
#else
    :: atomic { record[r] == absent && !place[r] && places_taken >= PLACES ->
           line[r] = 1; order[r] = NONE; r = 0; at_rest(worker_idle); goto ready }
#endif
    WORKER_MAY_DIE
    fi;
    if
#ifdef BUG_CLAIM_WITHOUT_CONDITION
    :: atomic { record[r] == absent || (record[r] == claimed && lease[r]) ->
           record[r] = claimed; owner[r] = _pid; lease[r] = 1 }
#else
    :: atomic { record[r] == absent ->
           assert(!cancellation_published);
           record[r] = claimed; owner[r] = _pid; lease[r] = 1 }
    :: atomic { record[r] == claimed && lease[r] -> order[r] = VISIBLE; r = 0; at_rest(worker_idle); goto ready }   /* somebody has it */
#endif
#ifdef BUG_EXPIRED_RUN_AGAIN
    :: atomic { record[r] == claimed && !lease[r] -> owner[r] = _pid; lease[r] = 1; orphan[r] = 0 }
#else
    :: atomic { record[r] == claimed && !lease[r] ->
           record[r] = lost; unclaimed(r); results[r]++; assert(results[r] == 1); goto report }
#endif
    :: atomic { record[r] == ok || record[r] == lost -> goto report }
    :: atomic { record[r] == closed -> goto give_back }
    WORKER_MAY_DIE
    fi;
#ifdef BUG_PLACE_FREED_EARLY
    place[r] = 0;
#endif
#ifdef BUG_ACKNOWLEDGED_FIRST
    order[r] = NONE;
#endif
    if
    :: atomic { terminal(header) ->
           if
           :: record[r] == claimed && owner[r] == _pid -> record[r] = closed; unclaimed(r)
           :: else
           fi;
           goto give_back }
    :: atomic { !terminal(header) ->
           assert(begun[r] == 0);
           assert(order_stands(r));
           begun[r]++;
           at_work[r] = 1;
           assert(used_places <= PLACES) }
    WORKER_MAY_DIE
    fi;
    if                                                     /* its code runs, then */
#ifdef BUG_RECORD_WITHOUT_CONDITION
    :: atomic { at_work[r] = 0; record[r] = ok; results[r]++; assert(results[r] == 1) }
#else
    :: atomic {
           at_work[r] = 0;
           if
           :: record[r] == claimed && owner[r] == _pid ->
              record[r] = ok; unclaimed(r); results[r]++; assert(results[r] == 1)
           :: else                                         /* given up meanwhile: what it did is refused */
           fi }
#endif
    WORKER_MAY_DIE
    fi;
report:
    if
    :: atomic {
           if
           :: mail[r] == NONE && (record[r] == ok || record[r] == lost) -> mail[r] = VISIBLE
           :: else
           fi }
    WORKER_MAY_DIE
    fi;
give_back:
    if
    :: place[r] = 0
    WORKER_MAY_DIE
    fi;
    do
    :: atomic { line_left && places_taken < PLACES ->
           if
           :: line[0] -> other = 0
           :: line[1] -> other = 1
           :: line[2] -> other = 2
           :: line[3] -> other = 3
           fi }
       wake()
    :: !(line_left && places_taken < PLACES) -> break
    od;
    if
    :: atomic {
           if
           :: order[r] == TAKEN -> order[r] = NONE
           :: else                                         /* it has come again meanwhile */
           fi;
           r = 0; other = 0; at_rest(worker_idle); goto ready }
    WORKER_MAY_DIE
    fi
}

/* -- the world: leases that run out, messages that come again, people */

proctype World() {
    byte r;
end:
    do
    :: atomic { record[0] == claimed && lease[0] && orphan[0] -> lease[0] = 0 }
    :: atomic { record[1] == claimed && lease[1] && orphan[1] -> lease[1] = 0 }
    :: atomic { record[2] == claimed && lease[2] && orphan[2] -> lease[2] = 0 }
    :: atomic { record[3] == claimed && lease[3] && orphan[3] -> lease[3] = 0 }
    :: atomic { faults < FAULTS_MAX && record[0] == claimed && lease[0] && !orphan[0] -> faults++; lease[0] = 0;
        if :: order[0] == TAKEN -> order[0] = VISIBLE :: else fi }
    :: atomic { faults < FAULTS_MAX && record[2] == claimed && lease[2] && !orphan[2] -> faults++; lease[2] = 0;
        if :: order[2] == TAKEN -> order[2] = VISIBLE :: else fi }
    :: atomic { faults < FAULTS_MAX && order[0] == TAKEN -> faults++; order[0] = VISIBLE }
    :: atomic { faults < FAULTS_MAX && mail[START] == TAKEN -> faults++; mail[START] = VISIBLE }
    :: atomic { faults < FAULTS_MAX && mail[0] == TAKEN -> faults++; mail[0] = VISIBLE }
    od
}

proctype Person() {
#if PERSON == CANCELS
    mail[CANCEL] = VISIBLE
#elif PERSON == SUSPENDS
    mail[SUSPEND] = VISIBLE;
    (status == suspended || terminal(status));
    mail[RESUME] = VISIBLE
#else
    skip
#endif
}

/* Nothing can happen any more. */
proctype rest() {
    timeout ->
    assert(terminal(status));
    assert(published && header == status);
    assert(order[0] == NONE && order[1] == NONE && order[2] == NONE && order[3] == NONE);
    assert(mail[0] == NONE && mail[1] == NONE && mail[2] == NONE && mail[3] == NONE && mail[START] == NONE);
    assert(!line[0] && !line[1] && !line[2] && !line[3]);
    assert(places_taken == 0)
}

init {
    atomic {
        mail[START] = VISIBLE;
        run Dispatcher(0);
#if DISPATCHERS == 2
        run Dispatcher(1);
#endif
        run Worker(0);
        run Worker(1);
        run World();
        run Person();
        run rest()
    }
}
