"""`/metrics`, which Prometheus scrapes in the OpenMetrics format: of `awr serve`, and of a deployment on AWS.

``families``   what there is, by name and labels
``gauges``     what is read of the table at a scrape: limiters, and what waits
``deployed``   the sums that a deployed runtime keeps in the table (`services.tally`), as an answer
"""
