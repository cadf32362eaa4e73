"""`imagerouter`: run the suite, make images, see why."""

from __future__ import annotations

import typer

from imagerouter.cli import demo, images, serve

app = typer.Typer(
    help="One typed API in front of many image models.", no_args_is_help=True, pretty_exceptions_show_locals=False
)
app.command()(serve.up)
app.command()(images.create)
app.command()(images.edit)
app.command()(images.watch)
app.command()(images.get)
app.command("list")(images.list_images)
app.command()(images.cancel)
app.command()(images.explain)
app.command()(images.trace)
app.command()(demo.demo)
app.command()(serve.serve)
app.command()(serve.emulate)
app.command()(serve.migrate)


def main() -> None:
    """The console script."""
    app()


if __name__ == "__main__":
    main()
