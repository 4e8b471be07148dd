#!/bin/sh
# Builds the op library with AddressSanitizer and UBSan in a copy of this checkout, build/asan, and runs the ops' tests
# and a fuzz of 2,000 calls with it: tests/stress/asan.sh PYTHON
set -e
python=$(realpath -s "$1")
compiler="${CXX:-g++}"
flags="-O1 -g -w -fno-omit-frame-pointer -fno-sanitize-recover=all"
flags="$flags -fsanitize=address,bounds,shift,signed-integer-overflow,float-cast-overflow,bool,integer-divide-by-zero"
asan=$($compiler -print-file-name=libasan.so 2>/dev/null || true)
cpp=$($compiler -print-file-name=libstdc++.so.6 2>/dev/null || true)
if ! [ -e "$asan" ] || ! [ -e "$cpp" ] ||
   ! echo "int main() {}" | $compiler $flags -x c++ - -o /dev/null 2>/dev/null; then
  echo "NOT tested with sanitizers: $compiler has none; apt-get install g++ brings them."
  exit 0
fi
rm -rf build/asan
mkdir -p build/asan
cp -r aster protos tests tools setup.py pytest.ini README.md build/asan/
cd build/asan
rm -f aster/c_ops/*.so
# the flags come last, since -O3 takes many minutes with sanitizers
CXX="sh -c 'exec $compiler \"\$@\" $flags' compiler" ASTER_CUDA=0 "$python" setup.py -q build_ext --inplace >/dev/null
# libstdc++ comes first too, since the sanitizer looks there for what throws exceptions. Python and TensorFlow never free
# all that they have, so leaks are not looked for. Where `new` fails the sanitizer ends the process, whatever catches it.
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1
status=0
LD_PRELOAD="$asan:$cpp" "$python" -m pytest -q tests/c_ops -k "not memory_that_cannot_be_had" || status=1
LD_PRELOAD="$asan:$cpp" "$python" tests/stress/fuzz_ops.py --calls 2000 || status=1
exit $status
