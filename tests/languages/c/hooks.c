// A plugin with four hooks in C, without an SDK.
//
// The bindings free what a hook hands over, so that it must come from malloc; what the host hands
// over is ours to free.

#include "plugin.h"

#include <stdlib.h>
#include <string.h>

typedef plugin_string_t text;

#define NO_OPINION(kind) FACTEUR_POLICY_TYPES_##kind##_NO_OPINION

// A literal, to hand to the host. Never in an answer.
static text literal(const char *words) {
    return (text){(uint8_t *)words, strlen(words)};
}

static bool is(text what, const char *words) {
    return what.len == strlen(words) && memcmp(what.ptr, words, what.len) == 0;
}

// Both one after the other, for an answer.
static text join(text first, const char *second) {
    text joined = {malloc(first.len + strlen(second)), first.len + strlen(second)};
    memcpy(joined.ptr, first.ptr, first.len);
    memcpy(joined.ptr + first.len, second, strlen(second));
    return joined;
}

static text copy(const char *words) {
    return join((text){0}, words);
}

// A bug: the operator is told, and the sandbox ends.
static _Noreturn void panic(const char *what) {
    text told = literal(what);
    facteur_policy_log_write(FACTEUR_POLICY_LOG_LEVEL_ERROR, &told);
    abort();
}

static facteur_policy_types_reply_t refusal(text words) {
    return (facteur_policy_types_reply_t){550, {true, copy("5.7.1")}, words};
}

static bool may_pass(uint8_t error) {
    return error == FACTEUR_POLICY_TYPES_ERROR_UNAVAILABLE ||
           error == FACTEUR_POLICY_TYPES_ERROR_TIMEOUT;
}

// What an error of the host's means in words.
static text in_words(facteur_policy_types_error_t *error) {
    text told = {0};
    switch (error->tag) {
    case FACTEUR_POLICY_TYPES_ERROR_NOT_FOUND: return copy("not found");
    case FACTEUR_POLICY_TYPES_ERROR_TIMEOUT: return copy("timeout");
    case FACTEUR_POLICY_TYPES_ERROR_TOO_LARGE: return copy("too large");
    // All others have a text, at the same place.
    default: told = join(error->val.invalid, "");
    }
    facteur_policy_types_error_free(error);
    return told;
}

static bool failed(facteur_policy_types_failure_t *failure, facteur_policy_types_error_t *error) {
    failure->transient = may_pass(error->tag);
    failure->reason = in_words(error);
    return false;
}

bool exports_facteur_policy_plugin_init(text *err) {
    facteur_policy_types_error_t error;
    plugin_option_string_t table;
    text name = literal("table");
    if (!facteur_policy_settings_text(&name, &table, &error)) {
        *err = in_words(&error);
        return false;
    }
    if (!table.is_some) {
        *err = copy("set `table`");
        return false;
    }
    bool is_there = facteur_policy_lookup_check(&table.val, &error);
    if (is_there) {
        facteur_policy_settings_keep(&(plugin_list_u8_t){table.val.ptr, table.val.len});
    } else {
        *err = in_words(&error);
    }
    plugin_option_string_free(&table);
    return is_there;
}

bool exports_facteur_policy_on_rcpt_ask(facteur_policy_types_verdict_t *ret,
                                        facteur_policy_types_failure_t *err) {
    facteur_policy_types_mail_address_t address;
    facteur_policy_recipient_address(&address);
    if (is(address.local, "panic")) panic("the recipient panic was asked about");
    bool refused = is(address.local, "no");
    facteur_policy_types_mail_address_free(&address);

    ret->tag = NO_OPINION(VERDICT);
    if (refused) {
        text helo = {0};
        bool said = facteur_policy_session_helo(&helo);
        text who = said ? helo : literal("nobody");
        ret->tag = FACTEUR_POLICY_TYPES_VERDICT_REJECT;
        ret->val.reject = refusal(join(who, " may not write to no"));
        plugin_string_free(&helo);
        return true;
    }

    plugin_list_u8_t kept;
    facteur_policy_settings_kept(&kept);
    text table = {kept.ptr, kept.len};
    facteur_policy_lookup_option_entry_t entry;
    facteur_policy_types_error_t error;
    bool asked = facteur_policy_lookup_find_recipient(
        &(plugin_list_string_t){&table, 1}, FACTEUR_POLICY_LOOKUP_MANNER_ACCESS, &entry, &error);
    plugin_list_u8_free(&kept);
    if (!asked) return failed(err, &error);
    if (entry.is_some) {
        text key = literal("found");
        asked = facteur_policy_transaction_set_tag(&key, &entry.val.value, &error);
    }
    facteur_policy_lookup_option_entry_free(&entry);
    return asked || failed(err, &error);
}

bool exports_facteur_policy_on_content_ask(facteur_policy_types_content_verdict_t *ret,
                                           facteur_policy_types_failure_t *err) {
    facteur_policy_types_error_t error;
    plugin_list_string_t subjects;
    text name = literal("Subject");
    facteur_policy_message_header_text(&name, &subjects);
    bool added = true;
    if (subjects.len > 0) {
        text header = literal("X-Subject");
        added = facteur_policy_message_edit_add_header(&header, &subjects.ptr[0], &error);
    }
    plugin_list_string_free(&subjects);
    if (!added) return failed(err, &error);

    plugin_list_u8_t begin;
    if (!facteur_policy_message_read(facteur_policy_message_body_offset(), 3, &begin, &error)) {
        return failed(err, &error);
    }
    ret->tag = NO_OPINION(CONTENT_VERDICT);
    if (is((text){begin.ptr, begin.len}, "BUY")) {
        ret->tag = FACTEUR_POLICY_TYPES_CONTENT_VERDICT_REJECT;
        ret->val.reject = refusal(copy("no, thank you"));
    }
    plugin_list_u8_free(&begin);
    return true;
}

bool exports_facteur_policy_on_alias_ask(facteur_policy_types_expansion_t *ret,
                                         facteur_policy_types_failure_t *err) {
    (void)err;
    facteur_policy_types_mail_address_t address;
    facteur_policy_recipient_address(&address);
    ret->tag = NO_OPINION(EXPANSION);
    if (is(address.local, "team")) {
        const char *members[] = {"ann", "bob"};
        facteur_policy_types_target_t *targets = malloc(2 * sizeof *targets);
        for (int i = 0; i < 2; i++) {
            targets[i].tag = FACTEUR_POLICY_TYPES_TARGET_ADDRESS;
            targets[i].val.address.local = copy(members[i]);
            targets[i].val.address.domain = join(address.domain, "");
        }
        ret->tag = FACTEUR_POLICY_TYPES_EXPANSION_TARGETS;
        ret->val.targets = (facteur_policy_types_expanded_t){
            .targets = {targets, 2},
            .owner = {true, {copy("owner-team"), join(address.domain, "")}},
        };
    } else if (is(address.local, "gone")) {
        ret->tag = FACTEUR_POLICY_TYPES_EXPANSION_UNKNOWN;
        ret->val.unknown = (plugin_option_string_t){true, copy("moved away")};
    } else if (is(address.local, "here")) {
        ret->tag = FACTEUR_POLICY_TYPES_EXPANSION_EXISTS;
    }
    facteur_policy_types_mail_address_free(&address);
    return true;
}

bool exports_facteur_policy_on_delivery_ask(facteur_policy_types_advice_t *ret,
                                            facteur_policy_types_failure_t *err) {
    (void)err;
    facteur_policy_types_reply_t said;
    facteur_policy_attempt_said(&said);
    uint32_t number = facteur_policy_attempt_number();
    ret->tag = FACTEUR_POLICY_TYPES_ADVICE_AS_PLANNED;
    if (said.code >= 400 && number <= 3) {
        ret->tag = FACTEUR_POLICY_TYPES_ADVICE_RETRY_AFTER;
        ret->val.retry_after = number * 60000ull;
    }
    facteur_policy_types_reply_free(&said);
    return true;
}
