// The console's script: copies texts, shows times where the reader is, and puts what arrives on top of its list.

const MOST_SHOWN = 100;
const SAID_FOR = 4_000;
const TRY_AGAIN = 5_000;

const times = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
// Tables have little room.
const shortTimes = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
let silence;

/** Tells what happened, to who sees it and to who hears it. */
function say(text) {
    const status = document.getElementById("status");
    status.textContent = text;
    clearTimeout(silence);
    silence = setTimeout(() => (status.textContent = ""), SAID_FOR);
}

function localise(root) {
    for (const element of root.querySelectorAll("time[datetime]")) {
        const time = new Date(element.dateTime);
        if (Number.isNaN(time.getTime())) continue;
        element.title = element.textContent;
        element.textContent = (element.closest("td") ? shortTimes : times).format(time);
    }
}

// --- Copying --------------------------------------------------------------------------------------------------------------

async function copied(text) {
    try {
        await navigator.clipboard.writeText(text);
        return true;
    } catch {
        // Browsers give pages no clipboard that come from elsewhere without TLS.
        const area = document.createElement("textarea");
        area.className = "unseen";
        area.value = text;
        document.body.append(area);
        area.select();
        const done = document.execCommand("copy");
        area.remove();
        return done;
    }
}

async function copy(button) {
    const text = button.dataset.copy ?? document.getElementById(button.dataset.copies).textContent;
    const done = await copied(text);
    button.focus();
    const hint = button.querySelector(".hint");
    if (done && hint) {
        hint.textContent = "Copied";
        setTimeout(() => (hint.textContent = "Copy"), SAID_FOR);
    }
    say(done ? (text.length <= 40 ? `Copied ${text}` : "Copied") : "This browser lets no page copy: select the text instead");
}

document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-copy], button[data-copies]");
    if (button) copy(button);
});

// --- What arrives ---------------------------------------------------------------------------------------------------------

function follow(list) {
    const live = document.getElementById("live");
    let source, after, again;

    const show = (state) => (live.dataset.state = state);

    function insert(html) {
        const template = document.createElement("template");
        template.innerHTML = html;
        const item = template.content.firstElementChild;
        if (document.getElementById(item.id)) return;
        localise(item);
        item.classList.add("new");
        list.querySelector(".empty")?.remove();
        list.prepend(item);
        while (list.children.length > MOST_SHOWN) list.lastElementChild.remove();
        say(item.dataset.news);
    }

    function connect() {
        const address = new URL(list.dataset.stream, location.href);
        if (after) address.searchParams.set("after", after);
        disconnect();
        source = new EventSource(address);
        show("waiting");
        source.addEventListener("open", () => show("on"));
        source.addEventListener("item", (event) => {
            after = event.lastEventId;
            insert(JSON.parse(event.data));
        });
        source.addEventListener("error", () => {
            // A stream that has ended is asked for again by the browser; one that was refused is not.
            const refused = source.readyState === EventSource.CLOSED;
            show(refused ? "off" : "waiting");
            if (refused) again = setTimeout(connect, TRY_AGAIN);
        });
    }

    function disconnect() {
        clearTimeout(again);
        source?.close();
        show("off");
    }

    // A browser has few connections to one server: pages that nobody sees leave theirs to others.
    const look = () => (document.hidden ? disconnect() : connect());
    document.addEventListener("visibilitychange", look);
    addEventListener("pagehide", disconnect);
    addEventListener("pageshow", look);
}

localise(document);
const list = document.querySelector("[data-stream]");
if (list) follow(list);
