"""What a worker calls: `agents`, `tools`, or the `mocks` that stand in for them."""
