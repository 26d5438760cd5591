"""Styles and what is at home in them. Plain data for the grammar; a row says what is usual, not what is allowed.

Columns: name; words before a noun; tempos (s, m, f); moods; energy (c calm, h high, - neither); leads; instruments for
the harmony; bass: its lines; drums: their groove; pads; voices (m, f, or empty); decades; facts.
An empty drums column means that there are none. Names that the lexicon knows are `style:` facts by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["STYLES", "Style"]

_ROWS = """
rock; rock|classic rock|hard rock; mf; happy,aggressive,groovy,epic; h-; distorted guitar,hammond organ,clean electric guitar; distorted guitar,clean electric guitar,piano; electric bass: drive,any; drums: rock,kit; synth pad; mf; 1970s,1980s,1990s;
metal; heavy metal|metal|thrash metal; mf; aggressive,dark,epic; h; distorted guitar; distorted guitar; electric bass: drive,deep; drums: metal,rock; choir; m; 1980s,1990s,2000s;
pop; pop|soft pop|radio pop|bright pop; smf; happy,romantic,groovy,sad; h-c; piano,saw lead,acoustic guitar,clean electric guitar; piano,synth pad,acoustic guitar,clean electric guitar; electric bass,synth bass: any,groove; drums,electronic drums: kit,house; synth pad,string ensemble; fm; 1980s,1990s,2000s,2010s;
jazz; jazz|swing jazz|bebop|small-group jazz; smf; happy,romantic,playful,groovy,sad; -ch; saxophone,muted trumpet,trumpet,vibraphone,piano,clarinet,trombone,flute; piano,clean electric guitar,vibraphone; acoustic bass: walking; brushed drums,drums: swing,soft; ; fm; 1930s,1940s,1950s,1960s;
bossa nova; bossa nova|Brazilian bossa nova; sm; romantic,dreamy,happy; c-; flute,saxophone,acoustic guitar,vibraphone,piano; acoustic guitar,electric piano,piano; acoustic bass: any,groove; brushed drums,congas,shaker: latin,soft; string ensemble; f; 1950s,1960s;
waltz; waltz|ballroom waltz|Viennese waltz; mf; romantic,happy,playful,sad; -c; violin,accordion,clarinet,flute,piano; piano,string ensemble,accordion; acoustic bass,cello: any; ; harp; ; 1900s,1920s; genre:classical
house; house|deep house|club house; mf; groovy,happy,hypnotic; h-; saw lead,piano,electric piano; electric piano,piano,saw lead; synth bass: groove,any; electronic drums: house; synth pad,synth strings; f; 1990s,2000s,2010s; genre:electronic
techno; techno|warehouse techno|club techno; f; hypnotic,dark,groovy; h; saw lead,square lead,synth arpeggio; synth arpeggio,saw lead; synth bass: deep,drive; electronic drums: house; synth pad; ; 1990s,2000s,2010s; genre:electronic
trance; trance|uplifting trance; f; epic,hypnotic,dreamy,happy; h; saw lead,synth arpeggio; synth arpeggio,saw lead; synth bass: drive; electronic drums: house; synth pad,synth strings,choir; f; 1990s,2000s; genre:electronic
drum and bass; drum and bass|jungle; f; dark,hypnotic,aggressive,groovy; h; saw lead,electric piano,square lead; electric piano,synth arpeggio; synth bass: deep,groove; electronic drums: break; synth pad; f; 1990s,2000s,2010s; genre:electronic
hip hop; hip hop|boom bap|old-school hip hop; sm; groovy,dark,hypnotic,playful; -hc; electric piano,flute,piano,vibraphone; electric piano,piano,synth strings; synth bass,electric bass: groove,deep; electronic drums: boombap; synth strings; m; 1990s,2000s,2010s;
classical piano; classical piano|solo piano; smf; sad,romantic,dreamy,playful,epic; c-h; piano; ; ; ; ; ; 1800s,1900s; genre:classical ensemble:solo
string quartet; string quartet|chamber|chamber string; smf; romantic,sad,playful,tense; -ch; violin,cello; string ensemble,cello; cello: any; ; ; ; 1800s,1900s; genre:classical
baroque; baroque|baroque chamber; mf; happy,playful,epic; -h; harpsichord,recorder,oboe,violin,flute; harpsichord,string ensemble,church organ; cello: any; ; ; ; 1700s; genre:classical
orchestral; orchestral|symphonic|film score|cinematic orchestral; smf; epic,dark,romantic,tense,sad; h-c; french horn,violin,trumpet,brass section,string ensemble,oboe; string ensemble,brass section,tremolo strings; cello: any,deep; timpani,taiko: epic; choir,string ensemble,harp; ; 1900s,1980s,2010s; genre:classical
choral; choral|a cappella|sacred choral; sm; dreamy,epic,sad; c-; choir; choir; ; ; ; ; 1500s,1600s,1800s; genre:classical voice:sung
ambient; ambient|new age|ambient drone; s; dreamy,dark,hypnotic,sad; c; synth pad,piano,glockenspiel,electric piano,flute; synth pad,synth strings,choir; ; ; synth pad,choir,synth strings; ; 1980s,1990s,2010s; genre:electronic
country; country|bluegrass|old country; mf; happy,sad,romantic,playful; -h; violin,banjo,harmonica,slide guitar,clean electric guitar,mandolin; acoustic guitar,banjo,mandolin; acoustic bass,electric bass: any; drums,brushed drums: train,kit; ; mf; 1950s,1960s,1970s,1990s; genre:folk
reggae; reggae|roots reggae|dub reggae; sm; groovy,happy,dreamy,hypnotic; c-; hammond organ,trombone,saxophone,trumpet; clean electric guitar,hammond organ; electric bass: deep,groove; drums: reggae; ; m; 1970s,1980s;
funk; funk|slick funk|horn-heavy funk; mf; groovy,happy,playful; h; brass section,saxophone,hammond organ,clavinet; clean electric guitar,electric piano,clavinet; slap bass,electric bass: groove; drums: funk; ; mf; 1970s,1980s;
disco; disco|string-laden disco|nu-disco; mf; groovy,happy,romantic; h; string ensemble,brass section,saw lead; piano,clean electric guitar,electric piano; electric bass: groove,drive; drums,electronic drums: house; string ensemble; f; 1970s,1980s;
lullaby; lullaby|music box lullaby|bedtime; s; dreamy,playful,sad; c; music box,glockenspiel,harp,recorder,flute,piano; harp,music box,glockenspiel; ; ; ; f; ;
celtic folk; Celtic folk|Irish folk|Celtic; mf; happy,playful,romantic,sad; h-; violin,flute,whistle,bagpipes,recorder,accordion; acoustic guitar,harp,bouzouki; acoustic bass: any; frame drum: hands; ; f; ; genre:folk
chiptune; chiptune|8-bit|video game; mf; playful,happy,tense,epic; h-; square lead,saw lead; square lead,synth arpeggio; synth bass: drive,groove; electronic drums: kit; ; ; 1980s,1990s; genre:electronic
blues; blues|twelve-bar blues|electric blues|slow-burning blues; smf; sad,groovy,romantic; -h; harmonica,clean electric guitar,saxophone,slide guitar,distorted guitar,piano; piano,hammond organ,clean electric guitar; electric bass,acoustic bass: walking,any; drums: shuffle,kit; ; mf; 1930s,1950s,1960s;
march; march|military march|marching band; mf; epic,happy; h-; trumpet,brass section,clarinet,flute,trombone; brass section,french horn,trombone; tuba: any; snare drum: march; ; ; 1900s,1940s;
latin; Latin|salsa|mambo; mf; happy,groovy,romantic; h-; trumpet,trombone,flute,brass section,piano; piano,acoustic guitar,brass section; acoustic bass,electric bass: groove; congas: latin; ; mf; 1950s,1970s,1990s;
church; church|sacred|hymn-like; s; epic,dreamy,sad; c-; church organ,choir,tubular bells; church organ,choir; ; ; choir; ; 1700s,1800s;
ragtime; ragtime|stride piano|saloon piano; mf; playful,happy; h-; piano,clarinet,banjo; piano; tuba: any; ; ; ; 1900s,1910s,1920s;
polka; polka|Bavarian folk|oompah; f; happy,playful; h; accordion,clarinet,trumpet; accordion,brass section; tuba: any; drums: kit; ; ; ; genre:folk
tango; tango|Argentine tango; mf; romantic,tense,sad; -h; bandoneon,violin,accordion; piano,string ensemble,acoustic guitar; acoustic bass: any; ; ; m; 1930s,1940s,1950s;
indian; Indian classical|Indian raga; sm; hypnotic,dreamy; c-; sitar,bansuri,violin; harmonium,tambura; ; tabla: hands; ; f; ; genre:folk
suspense; suspense|thriller score|horror score; sm; tense,dark; -c; cello,piano,music box,violin,bassoon; tremolo strings,string ensemble,synth pad; synth bass,cello: deep; timpani,taiko: epic; synth pad,choir; ; 1960s,1980s,2010s;
soul; soul|Southern soul|vintage soul; sm; romantic,groovy,sad,happy; -c; saxophone,hammond organ,brass section; hammond organ,piano,clean electric guitar; electric bass: groove,any; drums: kit,funk; string ensemble; fm; 1960s,1970s;
R&B; R&B|contemporary R&B|slow-jam R&B; sm; romantic,groovy; c-; electric piano,saxophone; electric piano,piano,synth pad; synth bass,electric bass: deep,groove; electronic drums: kit; synth pad; fm; 1990s,2000s,2010s;
gospel; gospel|Sunday-morning gospel; smf; epic,happy; h-; hammond organ,piano,choir; hammond organ,piano,choir; electric bass: walking,any; drums: kit,shuffle; choir; fm; 1950s,1970s,1990s;
trap; trap; sm; dark,hypnotic,aggressive; -h; flute,piano,synth bell,saw lead; synth pad,piano; sub bass: deep; electronic drums: trap; synth pad; m; 2010s;
lo-fi hip hop; lo-fi hip hop|lo-fi; sm; dreamy,sad,groovy; c; electric piano,piano,clean electric guitar,saxophone; electric piano,clean electric guitar; electric bass,synth bass: any,deep; electronic drums: boombap; synth pad; ; 2010s;
dubstep; dubstep; mf; aggressive,dark; h; saw lead,square lead; saw lead,synth pad; sub bass: deep; electronic drums: trap,break; synth pad; ; 2010s; genre:electronic
synthwave; synthwave|retro synth; mf; dreamy,hypnotic,epic; -h; saw lead,synth arpeggio,square lead; synth arpeggio,synth pad; synth bass: drive; electronic drums: kit,house; synth pad; f; 1980s,2010s; genre:electronic
synth-pop; synth-pop|new wave; mf; happy,sad,groovy; -h; saw lead,square lead; synth pad,synth arpeggio; synth bass: drive,groove; electronic drums: kit,house; synth strings; mf; 1980s; genre:electronic
downtempo; downtempo electronic|chillout|trip-hop; s; dreamy,dark,hypnotic; c; electric piano,flute,synth arpeggio,muted trumpet; synth pad,electric piano,clean electric guitar; synth bass: deep,any; electronic drums: boombap,kit; synth pad,synth strings; f; 1990s,2000s; genre:electronic
eurodance; Eurodance|festival dance; f; happy,epic,groovy; h; saw lead,piano; saw lead,synth pad; synth bass: drive; electronic drums: house; synth pad; f; 1990s,2010s; genre:electronic
industrial; industrial; mf; aggressive,dark,hypnotic; h; distorted guitar,saw lead; distorted guitar,synth arpeggio; synth bass: drive,deep; electronic drums: rock,kit; synth pad; m; 1980s,1990s; genre:electronic
punk; punk|punk rock|garage punk; f; aggressive,happy; h; distorted guitar; distorted guitar; electric bass: drive; drums: rock; ; m; 1970s,1990s,2000s;
grunge; grunge; sm; dark,sad,aggressive; h-; distorted guitar; distorted guitar,clean electric guitar; electric bass: drive,deep; drums: rock; ; m; 1990s;
indie rock; indie rock|indie; mf; dreamy,happy,sad; -h; clean electric guitar,distorted guitar; clean electric guitar,acoustic guitar,piano; electric bass: drive,any; drums: rock,kit; synth pad; mf; 1990s,2000s,2010s;
post-rock; post-rock; sm; epic,dreamy,sad; -h; clean electric guitar,distorted guitar; clean electric guitar,distorted guitar; electric bass: any,deep; drums: rock,kit; string ensemble,synth pad; ; 1990s,2000s;
surf rock; surf rock|surf; f; playful,happy; h; clean electric guitar,saxophone; clean electric guitar; electric bass: drive; drums: rock; ; ; 1960s;
rockabilly; rockabilly|rock and roll; f; happy,playful,groovy; h; clean electric guitar,piano,saxophone; clean electric guitar,acoustic guitar,piano; acoustic bass: walking,drive; drums: shuffle,rock; ; m; 1950s;
psychedelic rock; psychedelic rock|psychedelic; sm; dreamy,hypnotic,dark; -h; distorted guitar,hammond organ,sitar; hammond organ,clean electric guitar; electric bass: groove,any; drums: kit,rock; string ensemble; m; 1960s,1970s;
progressive rock; progressive rock; mf; epic,dreamy; h-; distorted guitar,hammond organ,flute,saw lead; hammond organ,acoustic guitar,piano; electric bass: drive,any; drums: rock,kit; string ensemble,synth pad; m; 1970s;
soft rock; soft rock; sm; romantic,sad,dreamy; c-; clean electric guitar,piano,saxophone; piano,acoustic guitar,electric piano; electric bass: any; drums: kit; string ensemble; mf; 1970s,1980s;
acoustic folk; folk|acoustic folk|singer-songwriter; sm; sad,romantic,dreamy,happy; c-; acoustic guitar,harmonica,violin; acoustic guitar,mandolin,banjo; acoustic bass: any; ; ; fm; 1960s,1970s,2010s; genre:folk
Americana; Americana|roots; sm; sad,romantic,happy; c-; slide guitar,harmonica,violin,mandolin; acoustic guitar,banjo; acoustic bass: any; brushed drums: train,kit; ; mf; 1970s,2000s;
flamenco; flamenco; mf; romantic,tense,epic; h-; acoustic guitar; acoustic guitar; ; hand claps,cajon: hands; ; m; ;
fado; fado; s; sad,romantic; c; acoustic guitar; acoustic guitar; acoustic bass: any; ; ; f; 1950s;
klezmer; klezmer; mf; playful,happy,sad; h-; clarinet,violin,accordion; accordion,piano; acoustic bass,tuba: any; drums: kit; ; ; ; genre:folk
Balkan brass; Balkan brass|Balkan; f; happy,playful,groovy; h; trumpet,saxophone,clarinet; brass section,accordion; tuba: groove,any; drums,snare drum: kit; ; ; ; genre:folk
samba; samba; f; happy,groovy; h; flute,trumpet,trombone; acoustic guitar,ukulele; acoustic bass: groove; congas,shaker: latin; ; f; 1960s,1970s;
cumbia; cumbia; m; groovy,happy; -h; accordion,clarinet; acoustic guitar,accordion; electric bass: groove; congas,shaker: latin; ; m; 1960s,1970s;
mariachi; mariachi; mf; happy,romantic,epic; h-; trumpet,violin; acoustic guitar; acoustic bass: any; ; ; m; 1950s;
calypso; calypso|Caribbean; mf; happy,playful; h-; steel drums,marimba,saxophone; steel drums,acoustic guitar; electric bass: groove; congas,shaker: latin; ; m; 1950s,1960s;
ska; ska; f; happy,playful,groovy; h; trombone,trumpet,saxophone; clean electric guitar,hammond organ,brass section; electric bass: walking,drive; drums: reggae,kit; ; m; 1960s,1980s,1990s;
afrobeat; afrobeat|highlife; mf; groovy,hypnotic,happy; h-; saxophone,brass section,clean electric guitar; clean electric guitar,hammond organ; electric bass: groove; drums,congas,djembe: funk,hands; ; m; 1970s,1980s;
West African; West African; m; hypnotic,happy,dreamy; -c; kora,kalimba,marimba; kora,acoustic guitar; ; djembe: hands; ; m; ;
desert blues; desert blues; sm; hypnotic,dreamy; -c; clean electric guitar; acoustic guitar,clean electric guitar; electric bass: groove,any; hand percussion: hands; ; m; 2000s;
Middle Eastern; Middle Eastern|Arabic; sm; hypnotic,dark,romantic; -c; oud,violin,ney flute; oud,string ensemble; ; frame drum: hands; string ensemble; f; ;
Turkish; Turkish folk|Anatolian; mf; hypnotic,sad; -h; oud,clarinet,bouzouki; bouzouki,string ensemble; ; frame drum: hands; ; m; 1970s; genre:folk
Japanese; Japanese|traditional Japanese; s; dreamy,sad; c; koto,shakuhachi,shamisen; koto; ; taiko: epic; ; ; ;
Chinese; Chinese|traditional Chinese; sm; dreamy,romantic; c-; erhu,guzheng,bansuri; guzheng; ; ; ; ; ;
gamelan; gamelan; m; hypnotic,dreamy; -c; metallophone; metallophone; ; ; ; ; ;
Hawaiian; Hawaiian|island; sm; happy,dreamy,romantic; c-; ukulele,slide guitar; ukulele,acoustic guitar; acoustic bass: any; shaker: hands; ; mf; 1930s,1950s;
big band; big band|big band swing; mf; happy,groovy,playful; h; trumpet,saxophone,clarinet,trombone; brass section,piano; acoustic bass: walking; drums: swing; ; fm; 1930s,1940s;
Dixieland; Dixieland|New Orleans jazz; f; happy,playful; h; clarinet,trumpet,trombone; banjo,piano; tuba,acoustic bass: walking,any; snare drum,drums: swing,march; ; ; 1910s,1920s;
gypsy jazz; gypsy jazz|hot club; f; playful,romantic,happy; h-; violin,acoustic guitar,clarinet; acoustic guitar; acoustic bass: walking; ; ; ; 1930s;
jazz fusion; jazz fusion|fusion; mf; groovy,happy; h; distorted guitar,saw lead,saxophone,electric piano; electric piano,clean electric guitar; electric bass,slap bass: groove; drums: funk; synth pad; ; 1970s,1980s;
smooth jazz; smooth jazz|lounge; sm; romantic,dreamy,groovy; c; saxophone,clean electric guitar,flute; electric piano,clean electric guitar; electric bass: groove,any; drums,brushed drums: soft,kit; synth pad,string ensemble; ; 1980s,1990s;
minimalism; minimalist|minimalist classical; mf; hypnotic,dreamy; -c; piano,marimba,violin; piano,marimba,string ensemble; cello: any; ; ; ; 1970s,2000s; genre:classical density:sparse
neoclassical; neoclassical|modern classical; sm; sad,dreamy,romantic; c; piano,cello,violin; piano,string ensemble; cello: any; ; synth pad; ; 2010s; genre:classical
opera; operatic; smf; epic,romantic,sad; h-; string ensemble,oboe; string ensemble; cello: any; ; choir; fm; 1800s; genre:classical
trailer; trailer|blockbuster trailer; mf; epic,tense,dark; h; brass section,french horn,choir; tremolo strings,string ensemble,brass section; synth bass,cello: deep; taiko: epic; choir; ; 2010s;
spaghetti western; spaghetti western; sm; epic,tense; -; whistle,trumpet,clean electric guitar,harmonica; acoustic guitar,string ensemble; electric bass: any; snare drum,timpani: march; choir; ; 1960s;
children's; children's|nursery; mf; happy,playful; -h; xylophone,recorder,ukulele,glockenspiel; ukulele,piano,acoustic guitar; acoustic bass: any; shaker,hand claps: hands; ; f; ;
holiday; Christmas|holiday; sm; happy,dreamy,romantic; c-; tubular bells,choir,piano,glockenspiel; piano,string ensemble; acoustic bass: walking,any; brushed drums: swing,soft; choir,string ensemble; fm; 1940s,1950s;
corporate; corporate|motivational; mf; happy,epic; -h; piano,clean electric guitar,glockenspiel; acoustic guitar,piano; electric bass: any,drive; drums,hand claps: kit; string ensemble,synth pad; ; 2010s;
drone; drone|dark ambient; s; dark,hypnotic,tense; c; synth pad,cello,didgeridoo; synth pad; ; ; choir,synth pad; ; 1970s,2000s; genre:electronic texture:sustained
meditation; meditation|spa; s; dreamy; c; bansuri,kalimba,harp,singing bowl; synth pad,harp; ; ; synth pad; ; ;
"""


@dataclass(frozen=True, kw_only=True)
class Style:
    """What is at home in a style; names refer to INSTRUMENTS, BASS_LINES and GROOVES."""

    name: str
    words: tuple[str, ...]
    """Before a noun: `a jazz tune`."""
    tempos: tuple[str, ...]
    moods: tuple[str, ...]
    energies: tuple[str, ...]
    """`calm`, `high`, or `plain` where the music is neither."""
    leads: tuple[str, ...]
    chords: tuple[str, ...]
    basses: tuple[str, ...]
    bass_lines: tuple[str, ...]
    drums: tuple[str, ...]
    grooves: tuple[str, ...]
    pads: tuple[str, ...]
    voices: tuple[str, ...]
    """`male`, `female`; empty for instrumental styles."""
    decades: tuple[str, ...]
    facts: tuple[str, ...]


_LETTERS = {
    **{"s": "slow", "m": "medium", "f": "fast"},
    **{"c": "calm", "h": "high", "-": "plain"},
}


def _items(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _style(row: str) -> Style:
    name, words, tempos, moods, energies, leads, chords, bass, drums, pads, voices, decades, facts = (
        part.strip() for part in row.split(";")
    )
    basses, _, bass_lines = bass.partition(":")
    kits, _, grooves = drums.partition(":")
    return Style(
        name=name,
        words=tuple(words.split("|")),
        tempos=tuple(_LETTERS[letter] for letter in tempos),
        moods=_items(moods),
        energies=tuple(_LETTERS[letter] for letter in energies),
        leads=_items(leads),
        chords=_items(chords),
        basses=_items(basses),
        bass_lines=_items(bass_lines),
        drums=_items(kits),
        grooves=_items(grooves),
        pads=_items(pads),
        voices=tuple({"m": "male", "f": "female"}[letter] for letter in voices),
        decades=_items(decades),
        facts=tuple(facts.split()),
    )


STYLES: tuple[Style, ...] = tuple(_style(row) for row in _ROWS.strip().splitlines())
