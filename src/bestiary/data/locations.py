"""Find the files of a standard set: in the user's folder, in the cache, or by download.

Both folders have one sub-folder for each set. A set comes in one or more forms, each a tuple of files that belong
together; the first complete form is used. A file may lack its final `.gz`.

A download is offered only where the digest of the file at its source is known for certain: MNIST and Fashion-MNIST (the
md5 that torchvision and Zalando publish), the three binarised files, CIFAR-10, OMNIGLOT (the sha256 that
tensorflow/datasets records; those of the binarised files were recomputed) and dSprites (the md5 that several
independent loaders record).
"""

from pathlib import Path

from bestiary.data.download import Remote, fetch, progress_bar
from bestiary.data.files import cache_folder, data_folder
from bestiary.errors import BestiaryError

__all__ = ["DOWNLOADS", "find_files", "local_files", "search_folders"]

_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_BINARIZED = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
_OMNIGLOT = "https://github.com/brendenlake/omniglot/raw/master/python/"
_SPRITES = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"


def _remotes(folder: str, url: str, *files: tuple[str, int, str]) -> tuple[Remote, ...]:
    return tuple(Remote(f"{folder}/{name}", url + name, size, digest) for name, size, digest in files)


# fmt: off
DOWNLOADS: dict[str, tuple[Remote, ...]] = {
    "mnist": _remotes(
        "mnist", _MNIST,
        ("train-images-idx3-ubyte.gz", 9912422, "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", 28881, "md5:d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", 1648877, "md5:9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", 4542, "md5:ec29112dd5afa0611ce80d1b7f02629c"),
    ),
    "fashion-mnist": _remotes(
        "fashion-mnist", _FASHION,
        ("train-images-idx3-ubyte.gz", 26421880, "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", 29515, "md5:25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", 4422102, "md5:bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", 5148, "md5:bb300cfdad3c16e7a12a480ee83cd310"),
    ),
    "binarized-mnist": _remotes(
        "binarized-mnist", _BINARIZED,
        ("binarized_mnist_train.amat", 78400000,
         "sha256:ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d"),
        ("binarized_mnist_valid.amat", 15680000,
         "sha256:1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2"),
        ("binarized_mnist_test.amat", 15680000,
         "sha256:e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c"),
    ),
    "omniglot": _remotes(
        "omniglot", _OMNIGLOT,
        ("images_background.zip", 9464212,
         "sha256:ad41ab679c8b5d90b271ef46be6987cc81211774a695c29dcc5367b2b26ee640"),
        ("images_evaluation.zip", 6462886,
         "sha256:1f61a8f3366785b057fc117d9228e78a16e3d976c8953b2a10fcc74cf0609cee"),
    ),
    "cifar10": _remotes(
        "cifar10", "https://www.cs.toronto.edu/~kriz/",
        ("cifar-10-binary.tar.gz", 170052171,
         "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
    ),
    "dsprites": _remotes(
        "dsprites", "https://github.com/google-deepmind/dsprites-dataset/raw/master/",
        (_SPRITES, 0, "md5:7da33b31b13a06f4b04a70402ce90c2e"),
    ),
}
# fmt: on


def search_folders() -> list[Path]:
    """The folders that are searched, in order."""
    folder = data_folder()
    return [*([folder] if folder else []), cache_folder("sets")]


def _existing(path: Path) -> Path | None:
    """The file, or the same file uncompressed."""
    plain = path.with_suffix("") if path.suffix == ".gz" and not path.name.endswith(".tar.gz") else path
    return next((p for p in (path, plain) if p.is_file()), None)


def local_files(forms: tuple[tuple[str, ...], ...]) -> list[Path] | None:
    """The files of the first complete form, or None."""
    for root in search_folders():
        for form in forms:
            files = [path for path in (_existing(root / file) for file in form) if path]
            if len(files) == len(form):
                return files
    return None


def find_files(name: str, forms: tuple[tuple[str, ...], ...], download: bool) -> list[Path]:
    """The files of the set `name`, downloaded if there are none and `download` is True.

    Raises BestiaryError, with the command that downloads them or the names of the files, where there are none.
    """
    files = local_files(forms)
    if files:
        return files
    if not download or name not in DOWNLOADS:
        raise BestiaryError(_not_found(name, forms))
    with progress_bar() as progress:
        return [fetch(remote, cache_folder("sets"), progress) for remote in DOWNLOADS[name]]


def _not_found(name: str, forms: tuple[tuple[str, ...], ...]) -> str:
    files = " or ".join(", ".join(form) for form in forms)
    folder = data_folder()
    searched = f"{folder} (BESTIARY_DATA)" if folder else "BESTIARY_DATA (not set)"
    if name in DOWNLOADS:
        megabytes = sum(remote.size for remote in DOWNLOADS[name]) / 1e6
        size = f" ({megabytes:.0f} MB)" if megabytes else ""
        fix = f"Type `bestiary data {name} --download` to download it{size}, or put the files there"
    else:
        fix = "No download is offered, since no digest is known for certain: put the files there yourself"
    return f"the files of `{name}` were not found: {files}; searched {searched} and {cache_folder('sets')}. {fix}"
