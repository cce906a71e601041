// A plugin with four hooks in JavaScript, without an SDK.

import attempt from "facteur:policy/attempt@0.1.0";
import log from "facteur:policy/log@0.1.0";
import lookup from "facteur:policy/lookup@0.1.0";
import message from "facteur:policy/message@0.1.0";
import edit from "facteur:policy/message-edit@0.1.0";
import recipient from "facteur:policy/recipient@0.1.0";
import session from "facteur:policy/session@0.1.0";
import settings from "facteur:policy/settings@0.1.0";
import transaction from "facteur:policy/transaction@0.1.0";

const decode = (bytes) => String.fromCharCode(...bytes);
const reject = (text) => ({ tag: "reject", val: { code: 550, status: "5.7.1", text } });

/** What an error of the host's means in words, and whether asking again may help. */
function failure({ tag, val }) {
    const transient = ["unavailable", "timeout"].includes(tag);
    return { transient, reason: val ?? tag };
}

/** A hook's function: an error of the host's fails it, a bug is told to the operator and traps. */
const hook = (ask) => ({
    ask() {
        try {
            return ask();
        } catch (exception) {
            if (exception.payload) throw failure(exception.payload);
            log.write("error", `${exception}\n${exception.stack}`);
            throw exception;
        }
    },
});

export const plugin = {
    init() {
        try {
            const table = settings.text("table");
            if (table === null) throw { payload: { tag: "invalid", val: "set `table`" } };
            lookup.check(table);
            settings.keep(Array.from(table, (character) => character.charCodeAt(0)));
        } catch (exception) {
            throw failure(exception.payload).reason;
        }
    },
};

export const onRcpt = hook(() => {
    const { local } = recipient.address();
    if (local === "panic") throw new Error("the recipient panic was asked about");
    if (local === "no") return reject(`${session.helo() ?? "nobody"} may not write to no`);
    const found = lookup.findRecipient([decode(settings.kept())], "access");
    if (found !== null) transaction.setTag("found", found.value);
    return { tag: "no-opinion" };
});

export const onContent = hook(() => {
    const [subject] = message.headerText("Subject");
    if (subject !== undefined) edit.addHeader("X-Subject", subject);
    if (decode(message.read(message.bodyOffset(), 3)) === "BUY") return reject("no, thank you");
    return { tag: "no-opinion" };
});

export const onAlias = hook(() => {
    const { local, domain } = recipient.address();
    const at = (local) => ({ local, domain });
    switch (local) {
        case "team": {
            const targets = [at("ann"), at("bob")].map((val) => ({ tag: "address", val }));
            return { tag: "targets", val: { targets, owner: at("owner-team") } };
        }
        case "gone":
            return { tag: "unknown", val: "moved away" };
        case "here":
            return { tag: "exists" };
        default:
            return { tag: "no-opinion" };
    }
});

export const onDelivery = hook(() => {
    if (attempt.said().code < 400 || attempt.number() > 3) return { tag: "as-planned" };
    return { tag: "retry-after", val: attempt.number() * 60_000 };
});
