"""The one thing that pyproject.toml cannot say: ``modalities/`` and ``recipes/`` are installed inside ``maskedmod``.

Installed at the top level they would overwrite other projects' packages of the same names. Sub-packages are found, so a
new one needs no entry here.
"""

from setuptools import find_packages, setup


def found(folder: str, name: str) -> list[str]:
    return [name, *(f"{name}.{package}" for package in find_packages(folder))]


setup(
    packages=[
        *found("maskedmod", "maskedmod"),
        *found("modalities", "maskedmod.modalities"),
        *found("recipes", "maskedmod.recipes"),
    ]
)
