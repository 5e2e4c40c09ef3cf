"""AWS in this process, simulated by moto: tables and queues to work on, pollers and schedules that drive them."""
