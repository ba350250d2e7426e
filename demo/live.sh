# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034,SC2154 # the parts of scripts/demo share their variables
# The live view: a bar per engine, redrawn in place on a terminal, a line every two seconds
# otherwise. Sourced.

live_lines=0 # lines to go back before the next drawing
live_last_ms=-2000
live_width=44
declare -A live_spark
if [[ $(locale charmap 2>/dev/null) == UTF-8 ]]; then
	live_full=█ live_free=░ live_mark=┃ live_left=▕ live_right=▏
	live_levels=(▁ ▂ ▃ ▄ ▅ ▆ ▇ █)
else
	live_full='#' live_free='.' live_mark='|' live_left='[' live_right=']'
	live_levels=(_ . : - '=' + '*' '#')
fi

live_repeat() { local s; printf -v s '%*s' "$2" ''; live_text=${s// /$1}; }

# Sets live_bar: usage filled, what the limit still allows shaded, the limit marked.
live_make_bar() {
	local used=$(($1 * live_width / (ceiling_mb << 20))) cap=$(($2 * live_width / (ceiling_mb << 20)))
	[ "$2" != 0 ] || cap=$live_width
	[ $used -le $live_width ] || used=$live_width
	[ $cap -ge $used ] || cap=$used
	[ $cap -le $live_width ] || cap=$live_width
	live_repeat "$live_full" $used && live_bar=$3$live_text
	live_repeat "$live_free" $((cap - used)) && live_bar+=$live_text
	live_repeat ' ' $((live_width - cap))
	live_bar+=$'\e[0m'$live_mark$live_text
}

# Sets live_line to the last 24 stall samples of an engine.
live_make_spark() {
	local level=$(($2 * 8 / 1000001)) s
	[ "$2" -le 0 ] || [ $level -gt 0 ] || level=$(($2 > 10000 ? 1 : 0))
	s=${live_spark[$1]:-}${live_levels[$((level < 0 ? 0 : level > 7 ? 7 : level))]}
	[ ${#s} -le 24 ] || s=${s: -24}
	live_spark[$1]=$s
	live_line=$s
}

live_unit() {
	case $1 in
	postgres) printf '%7d tx/s' "${rate[$1]:-0}" ;;
	rocksdb) printf '%7d MB/s' $((${rate[$1]:-0} * (rk_value_bytes + 16) / 1000000)) ;;
	esac
}

live_limit() {
	if [ "$1" = 0 ]; then echo 'no limit'; else printf 'of %4d M' $(($1 >> 20)); fi
}

# live_draw ROUND PHASE PART MILLISECONDS
live_draw() {
	local what="round $1 of $rounds, ${phase_title[$2]}"
	[ "$3" != warm ] || what+=' (warming up)'
	if [ -t 1 ]; then
		live_draw_terminal "$what" "$4"
	elif [ $(($4 - live_last_ms)) -ge 2000 ] || [ "$4" -lt "$live_last_ms" ]; then
		live_last_ms=$4
		live_draw_line "$what" "$4"
	fi
}

live_draw_terminal() {
	local engine colour
	[ $live_lines = 0 ] || printf '\e[%dA' $live_lines
	printf '\r\e[K\e[1m%s\e[0m  %3d s of %d s   rung %s   ceiling %d M\n\e[K\n' "$1" $(($2 / 1000)) \
		$((warm_s + measure_s)) "$rung" "$ceiling_mb"
	for engine in "${engines[@]}"; do
		colour=$'\e[36m'
		[ "$engine" = postgres ] || colour=$'\e[33m'
		live_make_bar "${usage_bytes[$engine]}" "${limit_bytes[$engine]}" "$colour"
		live_make_spark "$engine" "${stall_ppm[$engine]}"
		printf '\e[K  %-9s%s%s%s %4d M %-9s %s  stall %3d %% %s\n' "$engine" "$live_left" "$live_bar" \
			"$live_right" $((${usage_bytes[$engine]} >> 20)) "$(live_limit "${limit_bytes[$engine]}")" \
			"$(live_unit "$engine")" $((${stall_ppm[$engine]} / 10000)) "$live_line"
	done
	printf '\e[K\n'
	live_lines=$((3 + ${#engines[@]}))
}

live_draw_line() {
	local engine
	printf '%-42s %3d s' "$1" $(($2 / 1000))
	for engine in "${engines[@]}"; do
		printf ' | %s %4d M %-9s %s stall %2d %%' "$engine" $((${usage_bytes[$engine]} >> 20)) \
			"$(live_limit "${limit_bytes[$engine]}")" "$(live_unit "$engine")" \
			$((${stall_ppm[$engine]} / 10000))
	done
	echo
}
