#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Boot scripts equal those of systools:make_script/2, term by term, for each application of the installed OTP with
# what it needs and for random graphs (SEED=N repeats a run); and the VM boots with our .boot file.
. "$(dirname "${BASH_SOURCE[0]}")/../support/lib.sh"

command -v escript >/dev/null || skip "no Erlang here"
other_side=$RELPACK_SOURCE/tests/support/boot_script.escript
seed=${SEED:-$RANDOM}

echo "seed $seed"
timeout 200 escript "$other_side" make "$WORK/cases" "${GRAPHS:-150}" "$seed"

made=0
for rel in "$WORK"/cases/*/rel.rel; do
    case_dir=${rel%/rel.rel}
    lib=()
    [ -d "$case_dir/lib" ] && lib=(--lib "$case_dir/lib")
    if relpack script "$rel" "${lib[@]}" --output "$case_dir/our" >"$WORK/out" 2>"$WORK/err"; then
        made=$((made + 1))
    else
        status=$?
        [ $status -eq 2 ] || fail "exit $status for $case_dir: $(cat "$WORK/err")"
        assert_eq 1 "$(wc -l <"$WORK/err")" "lines of the error"
    fi
done
[ "$made" -ge 100 ] || fail "only $made scripts were made"
timeout 200 escript "$other_side" compare "$WORK/cases" || fail "seed $seed: a script differs from that of systools"
echo "$made scripts equal"

# A VM boots with it, embedded: every module is loaded by the script.
boot=$WORK/cases/otp_ssl/our/rel
apps=$(timeout 60 erl -boot "$boot" -mode embedded -noshell -noinput \
    -eval 'io:format("~p~n", [lists:sort([A || {A, _, _} <- application:which_applications()])]), halt().')
assert_eq '[asn1,crypto,kernel,public_key,ssl,stdlib]' "$apps" "what runs"
