"""Putting the plugins where their hosts find them, without the hosts' help."""
