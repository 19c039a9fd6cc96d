"""`python -m inve_daemon` is `inve-daemon`."""

from inve_daemon.cli import main

if __name__ == "__main__":
    main()
