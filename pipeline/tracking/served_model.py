"""The model that MLflow serves: it answers each text with a label and the probability that the text is positive.

MLflow stores this file with a copy of the package and runs it on its own ("models from code"). Nothing is pickled.

The answers are the answers of the command `predict`, with one exception. `predict` refuses a text without any word of
the vocabulary. This model gives that text the label `unknown` and no probability, so that the other texts of the
request still get their answers.
"""

from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel
from pydantic import BaseModel

from pipeline.params import Mistake
from pipeline.tracking.request_forms import texts_of


class Answer(BaseModel):
    """The form of one answer, from which MLflow makes the model's signature. The answers themselves are dicts.

    label: `positive`, `negative` or `unknown`.
    probability: the probability that the text is positive; None if the label is `unknown`.
    """

    label: str
    probability: float | None = None


class Served(PythonModel):
    def load_context(self, context) -> None:
        """Reads the network. TensorFlow loads here, so that `track` can save this model without TensorFlow."""
        from pipeline import machine

        machine.prepare_server()
        machine.load_tensorflow()
        from pipeline.storage.text_classifier import TextClassifier

        files = context.artifacts
        self._classifier = TextClassifier.read(files["card"], files["vocabulary"], files["weights"])
        # from here on, MLflow calls the method that sees the whole input
        self.predict = self.predict_any

    def predict(self, model_input: list[str]) -> list[Answer]:
        """Gives MLflow the signature. Because of its type hint, MLflow would pass the first column of a data frame."""
        return self.predict_any(model_input)

    def predict_any(self, model_input: Any) -> list[Answer]:
        """The answers to an input in any form that `texts_of` accepts; raises MlflowException for any other."""
        try:
            texts = texts_of(model_input)
        except Mistake as mistake:
            raise MlflowException.invalid_parameter_value(str(mistake)) from None
        return self._classifier.answers(texts)  # pyright: ignore[reportReturnType] - see Answer


set_model(Served())
