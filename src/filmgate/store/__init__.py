"""Where the truth is kept: one module per database, behind `ports.store`."""
