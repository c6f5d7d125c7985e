//! How fast a pass goes into playlists: long ones, as large lectures have them.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use janua::act::playlist::{Kind, RewriteContext, rewrite};
use url::Url;

fn rewriting(criterion: &mut Criterion) {
    let Ok(here) = Url::parse("https://video.example.edu/static/org/player/lecture-1/a/main") else {
        return;
    };
    let pass = format!("watch={}", "A".repeat(110));
    let context = RewriteContext {
        here: &here,
        also_here: None,
        parameter: &pass,
        covers: &|path| path.starts_with("/static/org/player/lecture-1/"),
    };
    let segments = |line: fn(usize) -> String| (0..20_000).map(line).collect::<String>();
    let ranges = segments(|n| {
        format!(
            "#EXTINF:6.000000,\n#EXT-X-BYTERANGE:1234567@{}\n../id4/file_0.mp4\n",
            n * 1_234_567
        )
    });
    let files = segments(|n| format!("#EXTINF:6.000000,\nsegment-{n:08}.ts\n"));
    let parts = segments(|n| format!("#EXT-X-PART:DURATION=0.33334,URI=\"part-{n:08}.mp4\",INDEPENDENT=YES\n"));
    let list = segments(|n| format!("      <SegmentURL media=\"segment-{n:08}.m4s\" mediaRange=\"0-1234567\"/>\n"));
    let timeline = segments(|n| format!("      <S t=\"{}\" d=\"180000\" r=\"1\"/>\n", n * 360_000));
    let mpd = |inner: &str| {
        format!(
            "<MPD><Period><AdaptationSet><Representation id=\"v\">{inner}</Representation></AdaptationSet></Period></MPD>"
        )
    };
    let cases = [
        ("hls byte ranges", Kind::M3u8, format!("#EXTM3U\n{ranges}")),
        ("hls files", Kind::M3u8, format!("#EXTM3U\n{files}")),
        ("hls parts", Kind::M3u8, format!("#EXTM3U\n{parts}")),
        (
            "dash list",
            Kind::Mpd,
            mpd(&format!("<SegmentList>{list}</SegmentList>")),
        ),
        (
            "dash timeline",
            Kind::Mpd,
            mpd(&format!(
                "<SegmentTemplate media=\"$RepresentationID$/$Time$.m4s\"><SegmentTimeline>{timeline}</SegmentTimeline></SegmentTemplate>"
            )),
        ),
    ];
    let mut group = criterion.benchmark_group("playlist");
    for (name, kind, text) in &cases {
        assert!(rewrite(*kind, text.as_bytes(), &context).is_some_and(|rewritten| rewritten.len() > text.len()));
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(*name, |bencher| {
            bencher.iter(|| rewrite(*kind, black_box(text.as_bytes()), &context));
        });
    }
    group.finish();
}

criterion_group!(benches, rewriting);
criterion_main!(benches);
