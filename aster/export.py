"""Exports a model as a SavedModel or ONNX file:
python -m aster.export [--exp_dir E | --model NAME] --output D|F.onnx"""
import os

from aster import command
from aster.pretrained import DEFAULT


def main() -> None:
    """Runs the command with the arguments of the process."""
    parser = command.ArgumentParser(prog="python -m aster.export", description=(
        "Write a SavedModel that takes the bytes of image files and returns texts and scores, and needs nothing of "
        "ASTER: for TensorFlow Serving, or tf.saved_model.load. Or an ONNX file that takes images of the sizes that "
        "its metadata tell, and returns labels and scores."))
    command.add_exp_dir(parser, DEFAULT)
    parser.add_argument("--output", required=True, metavar="PATH", help="a folder to make for a SavedModel (TensorFlow "
                        "Serving wants a number as its name: models/aster/1), or a file to write, FILE.onnx")
    parser.add_argument("--greedy", action="store_true", help="no beam search: faster, and a little less accurate")
    parser.add_argument("--word_list", action="store_true", help="export the word list of the configuration too, so "
                        "that its words are preferred: larger and slower, and more accurate where the list fits")
    command.add_checkpoint(parser)
    command.add_overrides(parser)
    command.add_trust(parser)
    arguments = parser.parse_args()
    command.read_experiment(arguments.exp_dir, arguments.overrides, trust=arguments.trust)
    if arguments.output.endswith((".keras", ".h5", ".pb", ".tflite")):
        parser.error(f"--output {arguments.output}: the command writes a SavedModel, which is a folder, or FILE.onnx; "
                     "name one of these")
    if os.path.lexists(arguments.output):
        raise ValueError(f"{arguments.output} exists already; name one that does not")
    command.check_writable(arguments.output, is_folder=True)
    if arguments.word_list:
        command.say("A long word list takes some minutes.")
    command.start_tensorflow()
    path = command.find_checkpoint(arguments.exp_dir, arguments.checkpoint)
    from aster.reading.serving import export_onnx, export_saved_model
    export = export_onnx if arguments.output.endswith(".onnx") else export_saved_model
    exported = export(arguments.exp_dir, arguments.output, arguments.greedy, word_list=arguments.word_list,
                      overrides=arguments.overrides, checkpoint_path=path)
    command.say(f"{arguments.output}: {exported.signature}")
    for sentence in exported.left_out:
        command.say(sentence)


def cli() -> None:
    """The console script aster-export."""
    command.run(main)


if __name__ == "__main__":
    cli()
