#!/usr/bin/env bash
# Makes, once, what the repository's gateway.toml serves: a key pair and a short lecture. Then prints a link that plays
# and one that does not. JANUA names the binary.
set -euo pipefail
cd "$(dirname "$0")/.."
janua=${JANUA:-target/quick/janua}
event=lecture-1
lecture=sample/downloads/mh_default_org/engage-player/$event

if [ ! -f sample/keys/private.pem ]; then
    mkdir -p sample
    "$janua" keys new --out sample/keys >&2
fi

if [ ! -d "$lecture" ]; then
    # Made beside its place and moved there whole: an interrupted start leaves no half lecture.
    new=$(mktemp -d sample/new.XXXXXX)
    trap 'rm -rf "$new"' EXIT
    mkdir -p "$new/video" "$new/hls" "$new/subtitles"
    quiet=(ffmpeg -nostdin -loglevel error -y)
    "${quiet[@]}" -f lavfi -i testsrc2=size=640x360:rate=25:duration=20 -f lavfi -i sine=frequency=330:duration=20 \
        -c:v libx264 -preset veryfast -pix_fmt yuv420p -g 50 -keyint_min 50 -sc_threshold 0 -b:v 400k \
        -c:a aac -b:a 64k -movflags +faststart "$new/video/lecture.mp4"
    "${quiet[@]}" -i "$new/video/lecture.mp4" -c copy -f hls -hls_time 4 -hls_playlist_type vod \
        -hls_segment_filename "$new/hls/segment_%03d.ts" -master_pl_name master.m3u8 "$new/hls/variant.m3u8"
    "${quiet[@]}" -i "$new/video/lecture.mp4" -frames:v 1 -update 1 "$new/cover.jpg"
    cat >"$new/subtitles/lecture.en.vtt" <<'VTT'
WEBVTT

00:00:00.000 --> 00:00:10.000
A lecture behind a gate.

00:00:10.000 --> 00:00:20.000
The second half, so that a seek has somewhere to go.
VTT
    chmod 755 "$new"
    mkdir -p "$(dirname "$lecture")"
    mv "$new" "$lecture"
    trap - EXIT
fi

token=$("$janua" token mint --key sample/keys/private.pem --event "$event=read" --expires 4h)
link=http://localhost:8080/static/mh_default_org/engage-player/$event/video/lecture.mp4
printf '\nplays:     %s?jwt=%s\ndenied:    %s\n\n' "$link" "$token" "$link"
