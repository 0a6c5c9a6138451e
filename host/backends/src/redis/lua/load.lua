-- `Backend::load`. Arguments: hash, job id. Returns { call, value, failure, run, job }, sample. The sample is flat:
-- value, failure of each call that the run record waits for, in the record's order, up to MOST_AT_ONCE bytes.

local hash, job_id = ARGV[2], ARGV[3]
local found = fields(record(hash), 'call', 'value', 'failure/' .. job_id, 'run/' .. job_id)
found[5] = fields(job_record(job_id), 'job')[1]

local sample = {}
local run = found[4]
if run and not found[2] and not found[3] then
  read('a run record', 'run/' .. job_id, hash)
  local version, waits = entry(run, 'v'), entry(run, 'waits')
  -- A record of another version gives no sample. The caller reports what is wrong with it.
  local i = version and int(run, version) == 1 and waits and waits + 1
  local n, bytes = 0, 0
  while i and byte(run, i) ~= 101 and bytes <= MOST_AT_ONCE do
    local name
    name, i = text(run, i)
    local pair = fields(record(name), 'value', 'failure/' .. job_id)
    sample[2 * n + 1], sample[2 * n + 2] = pair[1], pair[2]
    n, bytes = n + 1, bytes + size(pair)
  end
end
return { found, sample }
