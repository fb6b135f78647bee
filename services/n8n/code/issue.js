// Whether the event asks for a fix: the label was just put on an open issue of a repository that may be changed.
const { call } = $input.first().json;
const repository = String(call.repository?.full_name ?? '');
const labels = [call.issue?.labels ?? []].flat().map((label) => label?.name);
const allowed = $env.AUTO_FIX_REPOSITORIES.toLowerCase().split(',');

let ignored = '';
if (call.action !== 'labeled' || call.label?.name !== $env.AUTO_FIX_LABEL) ignored = `no label ${$env.AUTO_FIX_LABEL} was put on it`;
else if (!allowed.includes(repository.toLowerCase())) ignored = `${repository} is none of ${allowed.join(', ')}`;
else if (labels.includes($env.AUTO_FIX_REFUSED_LABEL)) ignored = `it bears the label ${$env.AUTO_FIX_REFUSED_LABEL}`;
else if (call.issue.state !== 'open' || call.issue.pull_request) ignored = 'it is no open issue';

const { number, title, body } = call.issue ?? {};
return [{ json: { wanted: !ignored, ignored, job: { repository, number, title, body: body ?? '' } } }];
