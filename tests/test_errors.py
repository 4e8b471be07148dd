from aster.errors import cause

TENSORFLOW_2 = """Graph execution error:

Detected at node 'save/SaveV2' defined at (most recent call last):
    File "x.py", line 1, in <module>
Node: 'save/SaveV2'
/log/model.ckpt-1.tempstate; No space left on device
\t [[{{node save/SaveV2}}]]

Original stack trace for 'save/SaveV2':
"""


def test_the_cause_is_the_line_that_says_what_happened():
    assert cause(ValueError(TENSORFLOW_2)).endswith("No space left on device")
    assert cause(ValueError("one\ntwo")) == "one"
    assert cause(ValueError("")) == "ValueError"


def test_the_cause_of_a_library_that_tensorflow_1_cannot_load():
    message = ("Traceback (most recent call last):\n  File \"x.py\", line 1, in <module>\n    import y\n"
               "ImportError: libcublas.so.8.0: cannot open shared object file\n\n\n"
               "Failed to load the native TensorFlow runtime.\n")
    assert cause(ImportError(message)) == "ImportError: libcublas.so.8.0: cannot open shared object file"
