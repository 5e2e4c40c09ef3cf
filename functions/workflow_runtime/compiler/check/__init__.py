"""Fourth stage: joins that cannot be met, states that cannot be reached, reads that may come too early …"""
