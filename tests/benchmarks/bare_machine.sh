# Sourced by gpu.sh, with `root` the checkout: kdlab without an installation.
wheels=$(mktemp -d)
trap 'rm -r "$wheels"' EXIT
if compgen -G "$root/wheels/*.whl" >/dev/null; then
    python3 -m pip install -q --no-index --no-deps --no-compile --target "$wheels" "$root"/wheels/*.whl
fi
ln -s "$root/sweeps/hydra_plugins" "$wheels/hydra_plugins"  # found on the path
export PYTHONPATH="$root:$wheels${PYTHONPATH:+:$PYTHONPATH}" HF_HUB_OFFLINE=1
