-- include: budget.lua
-- Takes base images whose check is due, and hides each from other pollers for a while: one request, whoever polls.
-- KEYS 1: base images, 2: updates. ARGV 1: limit, 2: lease (ms), 3: tokens a second, 4: most tokens,
-- 5: one base image to take now, or '', 6-12: prefixes of dependents, records, budgets, updates, handed out, late, ahead.
-- Returns {base image, token, digest, platform digest, content, unchanged, errors} for each. With ARGV 5 an empty list
-- stands for an unknown base image, and {base image, '', wait (ms), 'being checked' or 'budget'} for one that can't be
-- taken now.
local limit, lease, only = tonumber(ARGV[1]), ARGV[2], ARGV[5]
local dependents, records, budgets = ARGV[6], ARGV[7], ARGV[8]
local now = now_ms()
local reply, waiting = {}, {}

local function forget(image)
  redis.call('ZREM', KEYS[1], image)
  redis.call('ZREM', KEYS[2], image)
  for i = 7, 12 do if i ~= 8 then redis.call('UNLINK', ARGV[i] .. image) end end
end

local images = {only}
if only == '' then
  images = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, limit)
elseif not redis.call('ZSCORE', KEYS[1], only) then
  images = {}
end
for _, image in ipairs(images) do
  local record = records .. image
  local held = tonumber(redis.call('HGET', record, 'lease_until') or '0') - now
  if redis.call('ZCARD', dependents .. image) == 0 then
    forget(image)
  elseif held > 0 then
    if only ~= '' then table.insert(reply, {image, '', ms(held), 'being checked'}) end
    redis.call('ZADD', KEYS[1], ms(now + held), image)
  else
    local host = string.match(image, '^[^/]+')
    local wait = take_token(budgets .. host, tonumber(ARGV[3]), tonumber(ARGV[4]), waiting[host] or 0)
    if wait > 0 then
      waiting[host] = (waiting[host] or 0) + 1
      if only ~= '' then
        table.insert(reply, {image, '', ms(wait), 'budget'})
      else
        redis.call('ZADD', KEYS[1], ms(now + wait), image)
      end
    else
      redis.call('ZADD', KEYS[1], ms(now + lease), image)
      local token = redis.call('HINCRBY', record, 'token', 1)
      redis.call('HSET', record, 'lease_until', ms(now + lease), 'asked_at', ms(now))
      local known = redis.call('HMGET', record, 'digest', 'platform_digest', 'content', 'unchanged', 'errors')
      table.insert(reply, {image, ms(token), known[1] or '', known[2] or '', known[3] or '',
        known[4] or '0', known[5] or '0'})
    end
  end
end
return reply
