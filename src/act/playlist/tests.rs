//! Playlists as RFC 8216, low-latency HLS and the DASH-IF guidelines shape them, and playlists that mean harm.

use proptest::prelude::*;
use url::Url;

use super::{Kind, MAX_PLAYLIST, RewriteContext, rewrite};

const PASS: &str = "watch=P-1_x";

/// The playlist `master` of lecture 1, rewritten; as it was where nothing was done.
fn after(kind: Kind, playlist: impl AsRef<[u8]>) -> String {
    let playlist = playlist.as_ref();
    let here = Url::parse("https://video.test/static/org/player/lecture-1/a/master?jwt=x").unwrap();
    let also = Url::parse("http://127.0.0.1:8080").unwrap().origin();
    let covers =
        |path: &str| path.starts_with("/static/org/player/lecture-1/") && !path.replace("%20", "").contains('%');
    let context = RewriteContext {
        here: &here,
        also_here: Some(&also),
        parameter: PASS,
        covers: &covers,
    };
    let rewritten = rewrite(kind, playlist, &context).unwrap_or_else(|| playlist.to_vec());
    let again = rewrite(kind, &rewritten, &context).unwrap_or_else(|| rewritten.clone());
    assert_eq!(again, rewritten, "rewriting twice");
    String::from_utf8(rewritten).unwrap()
}

fn hls(playlist: impl AsRef<[u8]>) -> String {
    after(Kind::M3u8, playlist)
}

fn dash(manifest: &str) -> String {
    after(Kind::Mpd, manifest)
}

/// `{}` in `expected` stands for the parameter behind a `?`, in `playlist` for nothing.
#[track_caller]
fn becomes(kind: Kind, expected: &str) {
    let playlist = expected.replace("{}", "");
    assert_eq!(after(kind, playlist), expected.replace("{}", &format!("?{PASS}")));
}

#[test]
fn a_master_playlist() {
    becomes(
        Kind::M3u8,
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"subs\",NAME=\"a, URI=b\",LANGUAGE=\"de\",URI=\"../subtitles/a.m3u8{}\"\n\
         #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"Ton\",DEFAULT=YES\n\
         #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=86000,URI=\"low/iframe.m3u8{}\"\n\
         #EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"key.bin{}\"\n\
         #EXT-X-SESSION-DATA:DATA-ID=\"x\",X-URI=\"a.json\",URI=\"a.json{}\"\n\
         #EXT-X-CONTENT-STEERING:SERVER-URI=\"/steer\",PATHWAY-ID=\"a\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1280000,CODECS=\"avc1.4d401e,mp4a.40.2\"\n../v0/variant_0.m3u8{}\n\
         # a comment with URI=\"a.ts\"\n\n#EXT-X-UNKNOWN-THING:WHAT=1, URI=\"b.bin{}\",AFTER=2",
    );
}

#[test]
fn a_media_playlist_of_byte_ranges() {
    becomes(
        Kind::M3u8,
        "#EXTM3U\r\n#EXT-X-TARGETDURATION:4\r\n#EXT-X-MAP:URI=\"../id4/file_0.mp4{}\",BYTERANGE=\"1118@0\"\r\n\
         #EXTINF:4.0,title URI=\"x\"\r\n#EXT-X-BYTERANGE:1@1118\r\n../id4/file_0.mp4{}\r\n\
         #EXT-X-DISCONTINUITY\r\n#EXTINF:4,\r\n  b.ts{} \t\r\n#EXT-X-ENDLIST",
    );
}

#[test]
fn a_low_latency_playlist() {
    becomes(
        Kind::M3u8,
        "#EXTM3U\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0\n#EXT-X-PART-INF:PART-TARGET=0.33\n\
         #EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXT-X-PART:DURATION=0.33,URI=\"p271.0.mp4{}\",INDEPENDENT=YES\n\
         #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p271.1.mp4{}\"\n\
         #EXT-X-RENDITION-REPORT:URI=\"../1M/wait.m3u8{}\",LAST-MSN=273,LAST-PART=2\n",
    );
}

#[test]
fn addresses_that_lead_elsewhere_stay() {
    becomes(
        Kind::M3u8,
        "\u{feff}#EXTM3U\nhttps://cdn.example/static/org/player/lecture-1/a.ts\n//cdn.example/a.ts\n../../lecture-2/a.ts\n\
         /static/org/player/lecture-2/a.ts\n/other\n../..//lecture-2/x/../a.ts\nhttps:/\\evil.example/a.ts\n\\a.ts\n\
         http://video.test/static/org/player/lecture-1/a.ts\nhttps://video.test:444/static/org/player/lecture-1/a.ts\n\
         https://u:p@video.test/static/org/player/lecture-1/a.ts\n{$base}/a.ts\na\u{1}b.ts\n%2e%2e/%2e%2e/lecture-2/a.ts\n\
         #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"com.apple\"\n#EXT-X-MAP:URI=\"data:video/mp4;base64,AA\"\n\
         #EXT-X-MAP:URI=\"never closed\n#EXT-X-MAP:URI=plain\n\
         https://video.test/static/org/player/lecture-1/b/a.ts{}\n/static/org/player/lecture-1/a.ts{}\n\
         http://127.0.0.1:8080/static/org/player/lecture-1/a.ts{}\n//video.test/static/org/player/lecture-1/a.ts{}\n\
         ../../lecture-2/../lecture-1/a.ts{}\n./ü.ts\n",
    );
}

#[test]
fn blanks_and_odd_characters_are_part_of_an_address() {
    becomes(
        Kind::M3u8,
        "#EXTM3U\n#EXT-X-MAP:URI=\" my init.mp4{} \"\n#EXTINF:2,\nlecture 1.ts{}\n part (2) of 3.ts{} \nfolder a/b'c*$.ts{}\n\
         ../../lecture-2/of others.ts\nhttps://cdn.example/a b.ts\na\tb.ts\n /../x y.ts\n",
    );
    becomes(
        Kind::Mpd,
        "<MPD><BaseURL> my lecture.mp4{} </BaseURL><Period><SegmentTemplate media=' a b-$Number$.m4s{} '/></Period></MPD>",
    );
}

#[test]
fn a_manifest_names_itself_and_its_parts() {
    becomes(
        Kind::Mpd,
        "<MPD xmlns:x='http://www.w3.org/1999/xlink'><Location>https://video.test/static/org/player/lecture-1/a/m.mpd{}</Location>\
         <Location>https://cdn.example/m.mpd</Location><PatchLocation ttl='60'>patch.mpp{}</PatchLocation>\
         <Period x:href='period.xml{}' x:actuate='onLoad'/><Period x:href='urn:mpeg:dash:resolve-to-zero:2013'/>\
         <Period><AdaptationSet><SegmentList x:href=\"../../lecture-2/a.xml\"/><SegmentList x:href=\"list.xml{}\"/>\
         </AdaptationSet></Period></MPD>",
    );
    // Resolved by some against the manifest, by others against the base.
    becomes(
        Kind::Mpd,
        "<MPD><Location>m.mpd</Location><Location>https://video.test/static/org/player/lecture-1/m.mpd{}</Location>\
         <BaseURL>https://cdn.example/x/</BaseURL><Period x:href='p.xml'/></MPD>",
    );
    becomes(
        Kind::Mpd,
        "<MPD><BaseURL>/static/org/player/lecture-1/</BaseURL><Period x:href='../p.xml'/></MPD>",
    );
}

#[test]
fn queries_and_fragments_keep_their_places() {
    let rewritten =
        hls("#EXTM3U\na.ts?x=1\nb.ts?\nc.ts?x&\nd.ts#t=1\ne.ts?x#y\nf.ts?watch=other\ng.ts?%77atch=o\nh.ts?xwatch=1\n");
    let expected = format!(
        "#EXTM3U\na.ts?x=1&{PASS}\nb.ts?{PASS}\nc.ts?x&{PASS}\nd.ts?{PASS}#t=1\ne.ts?x&{PASS}#y\nf.ts?watch=other\n\
         g.ts?%77atch=o\nh.ts?xwatch=1&{PASS}\n"
    );
    assert_eq!(rewritten, expected);
}

#[test]
fn what_is_no_playlist_stays() {
    for text in ["", "a.ts\n", "#EXTINF:1,\na.ts\n", "<html>"] {
        assert_eq!(hls(text), text);
    }
    for text in [
        "",
        "<MPD",
        "<MPD><BaseURL>a.mp4</BaseURL>",
        "<MPD><BaseURL>a.mp4</MPD>",
        "<html><BaseURL>a.mp4</BaseURL></html>",
        "<!DOCTYPE MPD [<!ENTITY x \"a.mp4\">]><MPD><BaseURL>&x;</BaseURL></MPD>",
    ] {
        assert_eq!(dash(text), text);
    }
    let broken = [b"#EXTM3U\n\xff.ts\na.ts\n".as_slice(), &[0xff; 9]].concat();
    let here = Url::parse("https://video.test/a/").unwrap();
    let context = RewriteContext {
        here: &here,
        also_here: None,
        parameter: PASS,
        covers: &|_| true,
    };
    let rewritten = rewrite(Kind::M3u8, &broken, &context).unwrap();
    assert!(rewritten.starts_with(b"#EXTM3U\n\xff.ts\na.ts?watch=") && rewritten.ends_with(&[0xff; 9]));
    assert!(rewrite(Kind::Mpd, &broken, &context).is_none());
}

#[test]
fn a_large_playlist_is_rewritten_and_a_larger_one_is_not() {
    let line = "#EXTINF:6,\nsegment-000001.ts\n";
    let mut playlist = "#EXTM3U\n".to_owned() + &line.repeat((MAX_PLAYLIST - 16) / line.len());
    assert!(hls(&playlist).len() > playlist.len() + playlist.len() / 3);
    playlist.push_str(&line.repeat(2));
    assert_eq!(hls(&playlist), playlist);
    // A pass on every second byte: it would grow a hundredfold.
    let swelling = "#EXTM3U\n".to_owned() + &"a\n".repeat(5_000_000);
    assert_eq!(hls(&swelling), swelling);
}

#[test]
fn a_manifest_of_templates() {
    becomes(
        Kind::Mpd,
        r#"<?xml version="1.0"?>
<!-- media="a.mp4" --><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">
 <Location>https://video.test/static/org/player/lecture-1/a/manifest.mpd{}</Location>
 <BaseURL>../dash/</BaseURL><UTCTiming schemeIdUri="x" value="/time"/>
 <Period><AdaptationSet mimeType="video/mp4">
  <SegmentTemplate timescale='1' media='$RepresentationID$/$Number%05d$.m4s{}' initialization="$RepresentationID$-i.mp4{}"
    index="i$$x.sidx{}" bitstreamSwitching="b.mp4"><SegmentTimeline><S t="0" d="1"/></SegmentTimeline></SegmentTemplate>
  <Representation id="v_0" bandwidth="1"/><Representation id="1.a" bandwidth="2"></Representation>
 </AdaptationSet></Period></MPD>
"#,
    );
}

#[test]
fn templates_are_judged_with_the_ids_that_fill_them() {
    let manifest = |template: &str, ids: &[&str]| {
        let ids: String = ids.iter().map(|id| format!("<Representation id='{id}'/>")).collect();
        format!("<MPD><Period><SegmentTemplate media='{template}'/><AdaptationSet>{ids}</AdaptationSet></Period></MPD>")
    };
    // Bento4's mp4dash names them `video/avc1/1`.
    for ids in [
        &["video/avc1/1", "audio/en/mp4a.40.2", "1"][..],
        &["a b"],
        &["v.1"],
        &["a/../b"],
        &["../../lecture-1/a"],
    ] {
        becomes(Kind::Mpd, &manifest("$RepresentationID$/seg-$Number$.m4s{}", ids));
    }
    for (template, ids) in [
        ("$RepresentationID$/seg-$Number$.m4s", &["1", "../../lecture-2"][..]),
        ("$RepresentationID$/$RepresentationID$/lecture-2/1.m4s", &[".."]),
        ("$RepresentationID$/seg-$Number$.m4s", &["/other", "1"]),
        ("$RepresentationID$/seg-$Number$.m4s", &["//cdn.example"]),
        ("$RepresentationID$/seg-$Number$.m4s", &["v:1"]),
        ("$RepresentationID$/seg-$Number$.m4s", &["https://cdn.example"]),
        ("https$RepresentationID$//cdn.example/1.m4s", &[":"]),
        ("$RepresentationID$://cdn.example/1.m4s", &["https"]),
        ("//$RepresentationID$/1.m4s", &["cdn-example"]),
        ("$RepresentationID$/1.m4s", &["a\\b"]),
        ("$RepresentationID$/1.m4s", &["a%2fb"]),
        ("$RepresentationID$/1.m4s", &["a?b"]),
        ("$RepresentationID$/1.m4s", &["a#b"]),
    ] {
        let manifest = manifest(template, ids);
        assert_eq!(dash(&manifest), manifest);
    }
    // An id counts for the templates that it fills.
    becomes(
        Kind::Mpd,
        "<MPD><Period><AdaptationSet><SegmentTemplate media='$RepresentationID$.m4s{}'/><Representation id='a/b'/>\
         </AdaptationSet><AdaptationSet><SegmentTemplate media='$RepresentationID$.m4s'/><Representation id='//c/d'/>\
         </AdaptationSet></Period></MPD>",
    );
    let many: Vec<String> = (0..65).map(|number| format!("a/{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    becomes(Kind::Mpd, &manifest("$RepresentationID$.m4s{}", &many[1..]));
    becomes(Kind::Mpd, &manifest("$RepresentationID$.m4s", &many));
}

#[test]
fn a_manifest_of_lists_and_single_files() {
    becomes(
        Kind::Mpd,
        "<d:MPD xmlns:d=\"urn:mpeg:dash:schema:mpd:2011\"><d:Period><d:AdaptationSet><d:Representation id='a'>\
         <d:BaseURL>\n lecture.mp4{} </d:BaseURL><d:SegmentList><d:Initialization sourceURL='i.mp4{}' range='0-1'/>\
         <d:SegmentURL media='1.m4s{}' index=\"1.sidx{}\" mediaRange='0-5'/><d:SegmentURL mediaRange='6-9'/></d:SegmentList>\
         </d:Representation><d:Representation id='b'><d:BaseURL serviceLocation='x'>https://video.test/static/org/player/lecture-1/b.mp4{}\
         </d:BaseURL><d:SegmentBase indexRange='1-2'><d:Initialization range='0-1'/></d:SegmentBase></d:Representation>\
         </d:AdaptationSet></d:Period></d:MPD>",
    );
}

#[test]
fn a_base_elsewhere_keeps_the_pass_away_from_all_it_applies_to() {
    let manifest = |inner: &str| format!("<MPD>{inner}</MPD>");
    for inner in [
        "<BaseURL>https://cdn.example/x/</BaseURL><Period><SegmentTemplate media='a-$Number$.m4s'/></Period>",
        // Alternatives: any of them may be taken.
        "<BaseURL>./</BaseURL><BaseURL>//cdn.example/</BaseURL><Period><SegmentTemplate media='a.m4s'/></Period>",
        // Inherited downwards, to a base that comes later.
        "<Period><SegmentTemplate media='a.m4s'/><AdaptationSet><Representation id='1'><BaseURL>https://cdn.example/</BaseURL>\
         </Representation></AdaptationSet></Period>",
        "<Period><SegmentTemplate media='a.m4s'/><BaseURL>../../lecture-2/x/</BaseURL></Period>",
        "<Period><SegmentTemplate media='$RepresentationID$/a'/><Representation id='https://cdn.example'/></Period>",
        "<Period><BaseURL><![CDATA[https://cdn.example/]]></BaseURL><SegmentTemplate media='a.m4s'/></Period>",
        "<Period><BaseURL>https://cdn.example/&unknown;</BaseURL><SegmentTemplate media='a.m4s'/></Period>",
        "<Period><BaseURL>&#104;ttps://cdn.example/</BaseURL><SegmentTemplate media='a.m4s'/></Period>",
        "<Period><BaseURL>//cdn<!-- -->.example/</BaseURL><SegmentTemplate media='a.m4s'/></Period>",
        "<Period><Other><BaseURL>//cdn.example/</BaseURL></Other><SegmentTemplate media='a.m4s'/></Period>",
    ] {
        let manifest = manifest(inner);
        assert_eq!(dash(&manifest), manifest);
    }
    // Its neighbours are not touched by it.
    becomes(
        Kind::Mpd,
        "<MPD><Period><BaseURL>https://cdn.example/</BaseURL><SegmentTemplate media='a.m4s'/></Period>\
         <Period><BaseURL>b/</BaseURL><SegmentTemplate media='a.m4s{}'/></Period></MPD>",
    );
}

#[test]
fn an_escaped_address_stays_escaped() {
    assert_eq!(
        dash("<MPD><BaseURL>a.mp4?x=1&amp;y=2#z</BaseURL><Period><SegmentURL media='b.m4s?q=&#39;'/></Period></MPD>"),
        format!(
            "<MPD><BaseURL>a.mp4?x=1&amp;y=2&amp;{PASS}#z</BaseURL><Period>\
             <SegmentURL media='b.m4s?q=&apos;&amp;{PASS}'/></Period></MPD>"
        )
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever a playlist holds: taking the passes out again gives it back, byte for byte, and no foreign line has one.
    #[test]
    fn only_passes_are_added_to_hls(
        lines in prop::collection::vec(
            "(#EXT-X-[A-Z]{1,4}:([A-Z]{1,3}=[a-z\"]{0,4},?){0,2}(URI=\"[a-z./?#&%\\\\:]{0,9}\"?,?){0,2})|[a-z./?#&:%ü\\\\ ]{0,14}|#.{0,9}",
            0..20),
        end in "\n|\r\n",
    ) {
        let playlist = format!("#EXTM3U{end}{}", lines.join(&end));
        let rewritten = hls(&playlist);
        let without = rewritten.replace(&format!("?{PASS}"), "").replace(&format!("&{PASS}"), "").replace(PASS, "");
        let plain = |text: &str| text.replace(['?', '&'], "");
        prop_assert_eq!(plain(&without), plain(&playlist));
        prop_assert_eq!(rewritten.split('\n').count(), playlist.split('\n').count());
        for (before, now) in playlist.split('\n').zip(rewritten.split('\n')) {
            let is_address = !before.starts_with('#') || before.contains("URI=\"");
            prop_assert!(before == now || (is_address && now.contains(PASS)), "{} → {}", before, now);
        }
    }

    #[test]
    fn no_bytes_are_too_strange(playlist in prop::collection::vec(any::<u8>(), 0..200)) {
        let here = Url::parse("https://video.test/a/b").unwrap();
        let context = RewriteContext { here: &here, also_here: None, parameter: PASS, covers: &|_| true };
        for (kind, start) in [(Kind::M3u8, "#EXTM3U\n#EXT-X-MAP:"), (Kind::Mpd, "<MPD><BaseURL>")] {
            let playlist = [start.as_bytes(), &playlist].concat();
            if let Some(rewritten) = rewrite(kind, &playlist, &context) {
                prop_assert!(rewritten.len() >= playlist.len());
            }
        }
    }

    /// In a manifest of any nesting, everything but the addresses is as it was, and still as well formed.
    #[test]
    fn only_passes_are_added_to_dash(
        pieces in prop::collection::vec(
            "<Period>|</Period>|<AdaptationSet>|</AdaptationSet>|<Representation id='[a-z:]{1,2}'/>|<BaseURL>[a-z./:]{0,6}</BaseURL>|\
             <SegmentTemplate media=\"[a-z./$]{0,6}\" x='1'/>|<S d='1'/>|<!-- [a-z]{0,3} -->|[a-z ]{0,3}",
            0..16),
    ) {
        let manifest = format!("<MPD>{}</MPD>", pieces.concat());
        let rewritten = dash(&manifest);
        prop_assert_eq!(rewritten.replace(&format!("?{PASS}"), ""), manifest);
    }
}
