"""The AWS backend: the ports on DynamoDB, S3, SQS, EventBridge and its Scheduler, through boto3.

Lives here: one module per port, what they share (`faults`: which errors mean what); the poller, the schedule runner
and the provisioning for tests and `--backend moto`; and `simulated`, which starts moto. It may import services, ports,
topology, settings, service_limits, cron and real_clock; it must never know `local`. boto3 stops here.
"""
