"""Import every module of Marey where no extra is installed: a program for another interpreter, run by tests."""

import importlib
import pkgutil

import marey

OF_EXTRAS = {
    "marey.engines": {"pyarrow", "ray"},
    "marey.video.reading.servers": {"aiohttp", "botocore"},
}
"""What modules may ask for when they are imported: commands import them only where the extra is wanted and there."""


def of_extra(module: str) -> set[str]:
    return {
        package for above, packages in OF_EXTRAS.items() if f"{module}.".startswith(f"{above}.") for package in packages
    }


def main() -> None:
    found = pkgutil.walk_packages(marey.__path__, "marey.")
    names = [module.name for module in found if not module.name.endswith("__main__")]
    assert len(names) > 100
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if str(error.name).partition(".")[0] not in of_extra(name):
                raise


if __name__ == "__main__":
    main()
