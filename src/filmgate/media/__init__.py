"""Look into files that strangers hand us: in limited child processes, never in our own."""
