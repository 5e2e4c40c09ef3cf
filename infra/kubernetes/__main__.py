"""``python -m infra.kubernetes``: write the generated files again."""

from infra.kubernetes.crds import FILES, FOLDER

for name, text in FILES.items():
    (FOLDER / name).write_text(text(), "utf-8")
