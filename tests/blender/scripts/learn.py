"""Prepare a clip that is really learned; keep what the panel says meanwhile."""

import os

import bpy
import inside

session = inside.install()
properties, wording = inside.module("properties"), inside.shared("wording")
inside.connect(session, inside.TOLD["endpoint"], timeout_s=60)
clip = inside.TOLD["clip"]
strip = inside.image_strip(os.path.join(clip, "frames"), sorted(os.listdir(os.path.join(clip, "frames"))))
shot = properties.shot_of(strip)
shot.preset = "preview"
shot.use_working_size, shot.working_size = True, 64
shot.matte_source, shot.matte_folder = "folder", os.path.join(clip, "mattes")
assert inside.call(bpy.ops.inve.prepare) == ""
seen, stages, early = [], set(), []


def is_ready():
    job = session.job_of(shot.shot)
    seen.append(wording.progress(job))
    if job is not None and job.stage:
        stages.add(job.stage)
    known = session.shots.get(shot.shot)
    if known is not None and known.trained:
        early.append(known.final)
    return known is not None and known.final


assert session.pump_until(is_ready, 500), (session.problem, session.jobs)
inside.report(
    seen=sorted(set(seen)),
    stages=len(stages),
    trained_before_final=early[0] is False,
    standing=wording.standing(session, shot.shot, has_result=False),
)
