-- `Backend::load`: hash, root -> { call, value, failure, run, job }, sample, earlier; the last two flat: value, failure
-- of each call that the run record names, in its order, up to MOST_AT_ONCE bytes.

local hash, root = ARGV[2], ARGV[3]
local found = fields(record(hash), 'call', 'value', 'failure/' .. root, 'run/' .. root)
found[5] = fields(job_record(root), 'job')[1]

local function outcomes(s, i)
  local flat, there, n, bytes = {}, 0, 0, 0
  i = i + 1
  while byte(s, i) ~= 101 and bytes <= MOST_AT_ONCE do
    local name
    name, i = text(s, i)
    local pair = fields(record(name), 'value', 'failure/' .. root)
    flat[2 * n + 1], flat[2 * n + 2] = pair[1], pair[2]
    n, bytes = n + 1, bytes + size(pair)
    if pair[1] or pair[2] then there = there + 1 end
  end
  return flat, there, n
end

local sample, earlier = {}, {}
local run = found[4]
if run and not found[2] and not found[3] then
  read('a run record', 'run/' .. root, hash)
  local version = entry(run, 'v')
  -- Who asked says what is wrong with it.
  if not version or int(run, version) ~= 1 then return { found, sample, earlier } end
  local waits, asked = entry(run, 'waits'), entry(run, 'was_asked')
  local total, need = entry(run, 'total'), entry(run, 'need')
  local there, named = 0, 0
  if waits then sample, there, named = outcomes(run, waits) end
  -- What is not named counts as there.
  local ready = there + (total and int(run, total) or 0) - named >= (need and int(run, need) or 0)
  if ready and asked then earlier = outcomes(run, asked) end
end
return { found, sample, earlier }
