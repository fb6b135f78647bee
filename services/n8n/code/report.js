// The answers, in the order of the questions, as one message.
const answers = $input.all().map((item) => item.json);
const lines = $('Questions').all().map(({ json }, index) => {
	const status = answers[index]?.statusCode;
	return `${json.service}: ${status === 200 ? 'well' : status ? `answers ${status}` : 'no answer'}`;
});
return [{ json: { text: ['What the workflows need:', ...lines].join('\n') } }];
