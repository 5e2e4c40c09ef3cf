"""What a worker calls: `agents`, `tools`, or the `mocks` or `cassettes` that stand in for them."""
