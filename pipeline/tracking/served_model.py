"""What MLflow serves: texts in; of each a verdict and how probable it is that it is positive.

MLflow runs this file by itself ("model from code"), with the package beside it: no pickle. It answers as `predict`
does, but a text without any known word, which `predict` refuses, gets the label `unknown` and no probability: one such
text shall not cost the others of a request their answers.
"""

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel
from pydantic import BaseModel


class Answer(BaseModel):
    """For the signature alone; answers are dicts."""

    label: str  # positive, negative or unknown
    probability: float | None = None  # that it is positive; none where unknown


class Served(PythonModel):
    def load_context(self, context) -> None:
        """TensorFlow loads here and not before: `track` logs this model without it."""
        from pipeline import machine

        machine.set_defaults()
        machine.load_tensorflow()
        from pipeline.storage.text_classifier import TextClassifier

        self._classifier = TextClassifier.read(*(context.artifacts[name] for name in ("card", "vocabulary", "weights")))

    def predict(self, model_input: list[str]) -> list[Answer]:
        return self._classifier.answers(model_input)


set_model(Served())
