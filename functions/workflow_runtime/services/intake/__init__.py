"""What comes in from outside: starts, events of the bus, webhooks, signals."""
