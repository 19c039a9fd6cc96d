"""The command line. Only click is imported here, the rest when a command runs, so that help is quick."""

import functools
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from inve_daemon.connecting import Target

PRESETS = ("preview", "fast", "quality", "paper")
INTERRUPTED_EXIT = 130
_LATER = "{} comes with a later release of inve; this one does not have it yet."


class FrameRange(click.ParamType):
    """`1001-1050`, or one frame."""

    name = "A-B"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """First and last frame."""
        match = re.fullmatch(r"(-?\d{1,8})(?:-(-?\d{1,8}))?", str(value))
        if match is None:
            self.fail(f"a range must look like 1001-1050, got {value!r}.", param, ctx)
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            self.fail(f"a range must end after it begins, got {value!r}.", param, ctx)
        return first, last


class Device(click.ParamType):
    """`auto`, `cpu`, `cuda` or `cuda:N`."""

    name = "DEVICE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The word itself, once it is one of them."""
        if re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", str(value)) is None:
            self.fail(f"a device must be auto, cpu, cuda or cuda:N, got {value!r}.", param, ctx)
        return value


_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_DEVICE_HELP = "auto, cpu, cuda or cuda:N"


def _json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --json, and print what the command returns."""

    @functools.wraps(command)
    def wrapped(*, as_json: bool, **arguments: Any) -> None:
        def say(text: str) -> None:
            if not as_json:
                click.echo(text)

        result = command(say=say, **arguments)
        if as_json:
            click.echo(json.dumps(result))

    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")(
        wrapped
    )


def _daemon_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --connect, --store and --device, given to the command as `target`."""

    @functools.wraps(command)
    def wrapped(*, connect: str | None, store: Path | None, device: str | None, **arguments: Any) -> Any:
        from inve_daemon.connecting import Target

        return command(target=Target(connect, store, device), **arguments)

    for option in (
        click.option("--device", type=Device(), help=f"{_DEVICE_HELP}, for a private daemon."),
        click.option(
            "--store", type=_FOLDER, help="Start a private daemon on this store, for this call only."
        ),
        click.option("--connect", metavar="ENDPOINT", help="A daemon other than the default one."),
    ):
        wrapped = option(wrapped)
    return _json_option(wrapped)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="inve", prog_name="inve-daemon")
def cli() -> None:
    """Paint on one frame, see it on all of them.

    Commands use a running daemon, or start a private one for the length of the call.
    """


@cli.command()
@click.option("--bind", metavar="EP", help="Where to listen: ipc:///path or tcp://127.0.0.1:PORT.")
@click.option("--events", metavar="EP", help="Where events go out; beside --bind by default.")
@click.option(
    "--store", type=_FOLDER, help="Folder for shots, edits and models; in your data folder by default."
)
@click.option(
    "--root", "roots", type=_FOLDER, multiple=True, help="A folder whose files clients may use; repeatable."
)
@click.option("--device", type=Device(), default="auto", show_default=True, help=_DEVICE_HELP)
def serve(
    bind: str | None, events: str | None, store: Path | None, roots: tuple[Path, ...], device: str
) -> None:
    """Run the daemon in the foreground until Ctrl-C or SIGTERM."""
    from inve_daemon.serving import serve as serve_until_stopped

    raise SystemExit(serve_until_stopped(bind, events, store, roots, device))


@cli.command()
@click.option("--frames", metavar="PATTERN", help="A clip of your own instead of the synthetic one.")
@click.option("--mattes", metavar="PATTERN", help="Its mattes.")
@click.option("--out", type=_FOLDER, default=Path("demo"), show_default=True, help="Where everything goes.")
@click.option("--preset", type=click.Choice(PRESETS), default="preview", show_default=True)
@click.option("--device", type=Device(), default="auto", show_default=True, help=_DEVICE_HELP)
@_json_option
def demo(**arguments: Any) -> dict[str, Any]:
    """Learn a clip, edit it, render it and measure the result."""
    if arguments["mattes"] is not None and arguments["frames"] is None:
        raise click.UsageError("--mattes belongs to --frames; give both, or neither for the synthetic clip.")
    from inve_daemon.demo import run_demo

    return run_demo(echo=arguments.pop("say"), **arguments)


@cli.command()
@click.argument("frames")
@click.option(
    "--mattes", metavar="PATTERN", multiple=True, help="Mattes of a foreground layer; repeat for more."
)
@click.option("--flow", metavar="PATTERN", help="Motion vectors (EXR) in the place of computed flow.")
@click.option("--range", "frame_range", type=FrameRange(), help="First and last frame; all by default.")
@click.option("--working-size", type=click.IntRange(64, 4096), help="Long edge in pixels to learn at.")
@click.option("--name", metavar="SHOT", help="The shot's name; made from FRAMES by default.")
@click.option("--preset", type=click.Choice(PRESETS), default="fast", show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@_daemon_options
def train(target: "Target", **arguments: Any) -> dict[str, Any]:
    """Learn a shot from FRAMES: shot.%04d.exr, shot.####.exr, a folder, a glob or a movie."""
    from inve_daemon import calls

    return calls.train(target, **arguments)


@cli.command()
@click.argument("shot")
@click.argument("edits", type=_FILE, metavar="[EDITS.json]", required=False)
@click.option("--out", type=_FILE, metavar="EDITS.json", help="Write the edits, and their textures beside.")
@click.option("--undo", is_flag=True, help="Take back the last change.")
@click.option("--redo", is_flag=True, help="Bring back what --undo took.")
@click.option("--copy-to", metavar="SHOT", help="Replace another shot's edits by these.")
@click.option("--frame-offset", type=int, help="With --copy-to: what to add to each frame number.")
@_daemon_options
def edit(
    target: "Target",
    shot: str,
    edits: Path | None,
    out: Path | None,
    undo: bool,
    redo: bool,
    copy_to: str | None,
    frame_offset: int | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Replace a shot's whole edit stack by EDITS.json, once all of it is checked, or do as an option says."""
    asked = {
        "EDITS.json": edits is not None,
        "--out": out is not None,
        "--undo": undo,
        "--redo": redo,
        "--copy-to": copy_to is not None,
    }
    given = [name for name, is_given in asked.items() if is_given]
    if len(given) != 1:
        came = " and ".join(given) or "none of them"
        raise click.UsageError(f"`edit` takes one of {', '.join(asked)}, got {came}; give one.")
    if frame_offset is not None and copy_to is None:
        raise click.UsageError("--frame-offset belongs to --copy-to; give both, or leave it out.")
    from inve_daemon import calls

    if edits is not None:
        return calls.put_edits(target, shot, edits, say=say)
    if out is not None:
        return calls.export_edits(target, shot, out, say=say)
    if copy_to is not None:
        return calls.copy_edits(target, shot, copy_to, frame_offset or 0, say=say)
    return calls.step_edits(target, shot, "undo" if undo else "redo", say=say)


@cli.command()
@click.argument("shot")
@click.argument("points", type=_FILE, metavar="POINTS.json")
@click.option("--out", type=_FILE, metavar="TRACKS.json", help="Where to write; standard output by default.")
@_daemon_options
def track(
    target: "Target", shot: str, points: Path, out: Path | None, say: Callable[[str], None]
) -> dict[str, Any]:
    """Where points of one frame are on all the others."""
    from inve_daemon import calls

    result = calls.track(target, shot, points, out, say=say)
    if out is None:
        # Without a file the tracks themselves are the output, with --json or not.
        say(json.dumps(result))
    return result


@cli.command()
@click.argument("shot")
@click.option("--out", metavar="PATTERN", required=True, help="EXR files to write: out.%04d.exr or a folder.")
@click.option("--range", "frame_range", type=FrameRange(), help="First and last frame; all by default.")
@click.option("--scale", type=click.FloatRange(1 / 256, 8.0), default=1.0, show_default=True)
@click.option("--layers", is_flag=True, help="Also a part for each edit layer, matte and uv.")
@click.option(
    "--bits", type=click.Choice(["16", "32"]), help="Half or full float; the plate's own by default."
)
@_daemon_options
def render(target: "Target", bits: str | None, **arguments: Any) -> dict[str, Any]:
    """Write a shot's edited frames as EXR."""
    from inve_daemon import calls

    return calls.render(target, bits=None if bits is None else int(bits), **arguments)


@cli.command()
@_daemon_options
def shots(target: "Target", say: Callable[[str], None]) -> dict[str, Any]:
    """List the shots."""
    from inve_daemon import calls

    return calls.shots(target, say=say)


@cli.command()
@_daemon_options
def jobs(target: "Target", say: Callable[[str], None]) -> dict[str, Any]:
    """List the newest jobs."""
    from inve_daemon import calls

    return calls.jobs(target, say=say)


@cli.command()
@click.argument("job")
@_daemon_options
def cancel(target: "Target", job: str, say: Callable[[str], None]) -> dict[str, Any]:
    """End a job."""
    from inve_daemon import calls

    return calls.cancel(target, job, say=say)


@cli.command()
@click.argument("shot")
@_daemon_options
def delete(target: "Target", shot: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Forget a shot with its model and edits; its pictures are left alone."""
    from inve_daemon import calls

    return calls.delete(target, shot, say=say)


@cli.command()
@click.option("--connect", metavar="ENDPOINT", help="A daemon other than the default one.")
@_json_option
def status(connect: str | None, say: Callable[[str], None]) -> dict[str, Any]:
    """How the running daemon is."""
    from inve_daemon import calls

    return calls.status(connect, say=say)


@cli.command()
@click.option("--store", type=_FOLDER, help="The store to look at; the default one by default.")
@_json_option
def doctor(store: Path | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Check this machine: packages, devices, store, daemon."""
    from inve_daemon.doctor import examine

    return examine(store, say=say)


@cli.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("words", nargs=-1)
def export(words: tuple[str, ...]) -> None:
    """Write STMaps, atlases, mattes, trackers and corner pins (comes later)."""
    raise click.UsageError(_LATER.format("export"))


@cli.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("words", nargs=-1)
def keygen(words: tuple[str, ...]) -> None:
    """Make keys for serving other machines (comes later)."""
    raise click.UsageError(_LATER.format("keygen"))


@cli.command("install-plugin")
@click.argument("host", type=click.Choice(["nuke", "blender"]))
@click.option("--to", type=_FOLDER, help="A folder to put it into; by default where the host looks.")
@click.option("--link", is_flag=True, help="Nuke: link to this working tree instead of copying.")
@click.option(
    "--python", "pythons", multiple=True, metavar="X.Y", help="Nuke: for this Python; repeat for more."
)
@click.option(
    "--platform", "platforms", multiple=True, metavar="NAME", help="Nuke: for this system; repeat for more."
)
@click.option("--uninstall", is_flag=True, help="Nuke: take out what was put there.")
@_json_option
def install_plugin(
    host: str,
    to: Path | None,
    link: bool,
    pythons: tuple[str, ...],
    platforms: tuple[str, ...],
    uninstall: bool,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Put the plugin for Nuke or Blender where the host finds it."""
    choices = {"--link": link, "--python": bool(pythons), "--platform": bool(platforms)}
    given = [name for name, is_given in {**choices, "--uninstall": uninstall}.items() if is_given]
    if host == "blender":
        if given:
            raise click.UsageError(f"{given[0]} is for `install-plugin nuke`; leave it out for Blender.")
        from inve_daemon.plugins.blender import install_blender

        return install_blender(to, say)
    from inve_daemon.plugins.nuke import install_nuke, uninstall_nuke

    if uninstall:
        if len(given) > 1:
            raise click.UsageError(f"--uninstall takes out all there is; leave {given[0]} out.")
        return uninstall_nuke(to, say=say)
    return install_nuke(to, link=link, pythons=pythons, platforms=platforms, say=say)


def main() -> None:
    """Run the command line and end with the exit code of design section 4: 0, 1, 2 or 130."""
    as_json = "--json" in sys.argv[1:]
    try:
        code = cli.main(standalone_mode=False)
        raise SystemExit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        _end(error.exit_code, as_json, "bad_call", error.format_message())
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        _end(INTERRUPTED_EXIT, as_json, "interrupted", "Interrupted.")
    # The only place where everything that went wrong is turned into a sentence and an exit code.
    except Exception as error:
        from inve_client.errors import InternalError
        from inve_daemon.mapping import to_client_error

        told = to_client_error(error)
        if isinstance(told, InternalError) and told is not error:
            raise
        click.echo(f"Error: {told.message}", err=True)
        _end(told.exit_code, as_json, told.code, told.message)


def _end(code: int, as_json: bool, kind: str, message: str) -> None:
    if as_json:
        click.echo(json.dumps({"error": {"code": kind, "message": message}}))
    raise SystemExit(code)
