// What was said, one line each: by whom and which words.
const { call } = $input.first().json;
const lines = (call.entry ?? []).flatMap((entry) => [
	...(entry.changes ?? []).map(({ value }) => `${value?.from?.username ?? 'somebody'}: ${value?.text ?? '(no text)'}`),
	...(entry.messaging ?? []).map(({ sender, message }) => `${sender?.id ?? 'somebody'}: ${message?.text ?? '(no text)'}`),
]);
// Telegram takes 4096 characters.
return [{ json: { text: ['Instagram:', ...lines].join('\n').slice(0, 4000) } }];
