import pytest

from tests.support import report_parts


@pytest.fixture(scope="session")
def gradient_files():
    """The files of a small invented study of gradients. Tests change copies of them."""
    return report_parts.gradient_inputs()
