"""One execution's mailbox: load, advance, commit, publish."""
