"""The steps of a run, each a generator of events that returns its product."""
