"""``auditor rules``: look at rules, check them, test them."""
import typer
app = typer.Typer(no_args_is_help=True)
@app.command("list")
def list_rules() -> None:
    """List."""
