// As much as one message of Telegram holds: 4096 UTF-16 units (core.telegram.org/bots/api#sendmessage), as JavaScript counts,
// and no character of several cut in two. Half a surrogate pair, which JSON may bring, would be refused with the whole.
const LONGEST = 4096;

const { json } = $input.first();
const text = String(TEXT).toWellFormed();
const { index = text.length } = new Intl.Segmenter().segment(text).containing(LONGEST) ?? {};
// One character may be longer than a message: the units are all there is then.
return [{ json: { text: index ? text.slice(0, index) : text.slice(0, LONGEST).toWellFormed() } }];
