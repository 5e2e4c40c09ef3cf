"""Grafana's view of a runtime: two dashboards and alert rules, written from what the runtime measures.

``panels``      what is shown and what alarms, as data: PromQL over ``/metrics`` of `awr serve`, metrics of CloudWatch
``rendering``   the same as Grafana's JSON and Prometheus' rules
``prometheus.json``, ``cloudwatch.json``, ``alerts.yaml``: written by ``python -m infra.grafana``; a test keeps them so
"""
