"""The worker process, the only one that imports torch and decodes pictures; the daemon may lose it."""
