"""The AWS backend: the ports on DynamoDB, S3, SQS, EventBridge and its Scheduler, through botocore.

Lives here: one module per port, what they share (`faults`: which errors mean what), secrets and the search of logs. It
may import ports, deployment, language and errors; it must never know `embedded`. botocore stops here and in
`simulated_aws`.
"""
