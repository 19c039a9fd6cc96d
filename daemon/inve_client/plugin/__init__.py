"""The half of a plugin that knows no host: what Nuke's and Blender's plugins have in common.

- `messages`: typed requests, results and news; `refusals`: what went wrong.
- `link` and `link_thread`: the one I/O thread and its queues.
- `session`: the state that panels show, and `pump`, which a host's timer calls.
- `preparation`: open a shot, then learn it.
- `steps`, `syncing`, `document`, `editing`: the edit layers, step by step in line with the daemon's.
- `rendering`, `result_files`, `result_names`: which edited frame is asked for when, and its file.
- `wording`: how far things are, for status lines. `exporting`: what the Export button asks.
- `points`: points followed through a shot. `polyline`: lines thinned and cut to the picture.

Nothing here blocks, nothing imports ZeroMQ on the main thread, and nothing is loaded before it is used.
"""
