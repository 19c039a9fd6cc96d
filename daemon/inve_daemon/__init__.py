"""The daemon: server, store, scheduler, worker and command line. Only the worker process imports torch."""
