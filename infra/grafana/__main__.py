"""``python -m infra.grafana``: write the files again."""

from infra.grafana.rendering import FILES, FOLDER

for name, text in FILES.items():
    (FOLDER / name).write_text(text(), "utf-8")
