"""MLflow's server with other defaults for the browser: the view for model training, and a closed assistant.

MLflow keeps both choices in the browser, and on its first visit it opens the view for GenAI and the assistant. No
address can change that. So the first page sets them once, and after that the choices of the user stay.
`mlflow ui --app-name rnn-for-nlp` finds this app through the folder ui_plugin.
"""

import json
from pathlib import Path

from mlflow.server import app as flask_app
from mlflow.server.fastapi_app import app
from starlette.responses import HTMLResponse
from starlette.routing import Route

VISITED = "rnn-for-nlp.visited"
CHOICES = {  # key in the browser's localStorage -> JSON
    "mlflow.workflowType_v1": json.dumps("machine_learning"),
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.assistant.panelOpen_v1": "false",
    VISITED: "true",
}
SCRIPT = f"""<script>
if (localStorage.getItem({json.dumps(VISITED)}) === null)
  for (const [key, value] of Object.entries({json.dumps(CHOICES)})) localStorage.setItem(key, value);
</script>"""


def first_page(request) -> HTMLResponse:
    """MLflow's only HTML page, with the script before MLflow's own scripts."""
    page = Path(str(flask_app.static_folder), "index.html").read_text(encoding="utf-8")
    return HTMLResponse(
        page.replace("<head>", f"<head>{SCRIPT}", 1), headers={"Cache-Control": "no-cache"}
    )


app.router.routes.insert(0, Route("/", first_page))
